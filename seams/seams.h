/*
 * The table of seams: functions of PostgreSQL that strata may take over in this process.
 *
 * Every pointer is null by default, and then PostgreSQL's own function runs. seams/symbols.txt names each function and
 * the object file that defines it; when the server is linked again, the function is renamed there to strata_real_NAME,
 * and seams.c defines NAME. So calls from other object files and from extensions come here; calls within the defining
 * file do not.
 *
 * The table belongs to the process (it is not shared memory): a present session leaves the pointers of travel null.
 */
#ifndef STRATA_SEAMS_H
#define STRATA_SEAMS_H

/* REQUIRES: postgres.h and the headers of the types below, as seams_includes.h has them. */

typedef struct StrataSeams {
#define SEAM(ret, name, params, args) ret(*name) params;
#define SEAM_VOID(name, params, args) void(*name) params;
#include "seams_list.h"
#undef SEAM
#undef SEAM_VOID
} StrataSeams;

extern PGDLLIMPORT StrataSeams strata_seams;

#define SEAM(ret, name, params, args) extern ret strata_real_##name params;
#define SEAM_VOID(name, params, args) extern void strata_real_##name params;
#include "seams_list.h"
#undef SEAM
#undef SEAM_VOID

/* The GUC of postgresql.conf. Set before the postmaster loads libraries, then constant. */
extern PGDLLIMPORT bool strata_enabled;

/* Places for background workers beside max_worker_processes; strata.so sets it while the postmaster preloads libraries.
 */
extern PGDLLIMPORT int strata_reserved_workers;

/* Workers that were registered with the postmaster before it started any, and that it starts again whenever they end.
 */
extern PGDLLIMPORT int strata_registered_workers;

#endif
