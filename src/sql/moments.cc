// strata.lsn_at(), strata.time_at(), strata.wait_for(): times and positions in WAL.
extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
}

#include "pg/ingest_wait.h"
#include "pg/lsn_format.h"
#include "pg/shared_state.h"
#include "sql/prerequisites.h"
#include "travel/resolve.h"
#include "travel/settings.h"

namespace strata::sql {

extern "C" {

PG_FUNCTION_INFO_V1(strata_lsn_at);
Datum strata_lsn_at(PG_FUNCTION_ARGS) {
  require_horizon();
  PG_RETURN_LSN(travel::resolve_time(PG_GETARG_TIMESTAMPTZ(0)));
}

PG_FUNCTION_INFO_V1(strata_lsn_at_words);
Datum strata_lsn_at_words(PG_FUNCTION_ARGS) {
  require_horizon();
  PG_RETURN_LSN(travel::resolve_time(travel::time_in_words(text_to_cstring(PG_GETARG_TEXT_PP(0)))));
}

PG_FUNCTION_INFO_V1(strata_time_at);
Datum strata_time_at(PG_FUNCTION_ARGS) {
  const Horizon horizon = require_horizon();
  const XLogRecPtr at = require_inserted(PG_GETARG_LSN(0));
  if (at < horizon.lsn) {
    ereport(
        ERROR,
        (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("LSN %X/%X is before the horizon", LSN_FORMAT_ARGS(at)),
         errdetail("History begins at %X/%X, %s.", LSN_FORMAT_ARGS(horizon.lsn), timestamptz_to_str(horizon.time))));
  }
  pg::wait_for_visible(at);

  const TimestampTz last_commit = travel::last_commit_at(at);
  PG_RETURN_TIMESTAMPTZ(last_commit != 0 ? last_commit : horizon.time);
}

PG_FUNCTION_INFO_V1(strata_wait_for);
Datum strata_wait_for(PG_FUNCTION_ARGS) {
  require_enabled();
  pg::wait_for_visible(require_inserted(PG_GETARG_LSN(0)));
  PG_RETURN_LSN(pg::shared_store->visible_lsn());
}

}  // extern "C"

}  // namespace strata::sql
