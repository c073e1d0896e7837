// Facts about the session's database that a switch needs before it can read any catalog in the past.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
}

namespace strata::travel {

// The tablespace of a database at an LSN, read from pg_database as it was. Raises an ERROR
// (ERRCODE_UNDEFINED_DATABASE) if the database did not exist. `name`: for the error; null: the database is the
// session's, and the error (ERRCODE_FEATURE_NOT_SUPPORTED) is also for one of another encoding or locale, which had the
// OID then.
Oid database_tablespace_at(Oid database, XLogRecPtr at, const char* name = nullptr);

// What pg_database said of a database at an LSN.
struct DatabaseRow {
  Oid tablespace = InvalidOid;  // InvalidOid: there was no such database
  bool valid = false;           // no DROP DATABASE has begun to remove its files
};
DatabaseRow database_row_at(Oid database, XLogRecPtr at);

// A database by its name at an LSN; InvalidOid if there was none.
struct DatabaseAt {
  Oid oid = InvalidOid;
};
DatabaseAt database_at(const char* name, XLogRecPtr at);

// Whether this session has temporary tables. Reads the present's catalogs, or the past's while travelling (where there
// are none).
bool session_has_temporary_tables();

}  // namespace strata::travel
