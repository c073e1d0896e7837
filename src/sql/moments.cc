// strata.lsn_at(), strata.time_at(), strata.wait_for(): times and positions in WAL.
extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
}

#include <optional>

#include "ingest/keys.h"
#include "pg/guard.h"
#include "pg/lsn_format.h"
#include "pg/shared_state.h"
#include "sql/prerequisites.h"
#include "travel/resolve.h"

namespace strata::sql {

namespace {

// The latest timestamp among the marks whose record ends at or before `at`. Marks rise in time and in LSN together, so
// the first mark from any time on tells on which side of `at` that time lies.
std::optional<TimestampTz> newest_mark(Reader& reader, Lsn at, Lsn visible) {
  const Key last = ingest::time_mark_key(PG_INT64_MAX);
  auto found = reader.first_in(ingest::time_mark_key(PG_INT64_MIN), last, visible);
  if (!found || found->second.lsn > at) return std::nullopt;
  TimestampTz low = ingest::time_of_mark(found->first);
  TimestampTz high = PG_INT64_MAX;
  while (low < high) {
    // Far apart times overflow a signed difference, never an unsigned one.
    const uint64 distance = static_cast<uint64>(high) - static_cast<uint64>(low);
    const auto middle = static_cast<TimestampTz>(static_cast<uint64>(high) - distance / 2);
    found = reader.first_in(ingest::time_mark_key(middle), last, visible);
    if (found && found->second.lsn <= at) {
      low = ingest::time_of_mark(found->first);
    } else {
      high = middle - 1;
    }
  }
  return low;
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_lsn_at);
Datum strata_lsn_at(PG_FUNCTION_ARGS) {
  require_horizon();
  PG_RETURN_LSN(travel::resolve_time(PG_GETARG_TIMESTAMPTZ(0)));
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

  Reader& reader = pg::store_reader();
  TimestampTz time = horizon.time;
  pg::guarded([&reader, &time, at] {
    const std::optional<TimestampTz> mark = newest_mark(reader, at, pg::shared_store->visible_lsn());
    if (mark) time = *mark;
  });
  PG_RETURN_TIMESTAMPTZ(time);
}

PG_FUNCTION_INFO_V1(strata_wait_for);
Datum strata_wait_for(PG_FUNCTION_ARGS) {
  require_enabled();
  pg::wait_for_visible(require_inserted(PG_GETARG_LSN(0)));
  PG_RETURN_LSN(pg::shared_store->visible_lsn());
}

}  // extern "C"

}  // namespace strata::sql
