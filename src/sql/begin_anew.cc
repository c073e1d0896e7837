// strata.begin_anew(): has ingest give history up.
extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
}

#include "pg/belonging.h"
#include "pg/shared_state.h"
#include "sql/prerequisites.h"

namespace strata::sql {

extern "C" {

PG_FUNCTION_INFO_V1(strata_begin_anew);
Datum strata_begin_anew(PG_FUNCTION_ARGS) {
  require_enabled();
  require_present("begin history anew");
  if (!superuser()) {
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to begin history anew"),
                    errdetail("Only roles with the SUPERUSER attribute may give history up.")));
  }
  pg_atomic_write_u32(&pg::shared_belonging->begin_anew, 1);
  pg::wake_ingest();
  PG_RETURN_VOID();
}

}  // extern "C"

}  // namespace strata::sql
