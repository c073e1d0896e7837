// Included last in every .cc of the store: the store compiles without any PostgreSQL header.
#ifdef POSTGRES_H
#error "src/store must not include postgres.h"
#endif
