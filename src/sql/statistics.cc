// pg_stat_strata, and its reset.
extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
}

#include "pg/statistics.h"
#include "sql/prerequisites.h"
#include "travel/session.h"

namespace strata::sql {

extern "C" {

PG_FUNCTION_INFO_V1(strata_stat);
Datum strata_stat(PG_FUNCTION_ARGS) {
  require_enabled();
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  const pg::Statistics statistics = pg::statistics();
  for (std::size_t kind = 0; kind < pg::kReadKinds; ++kind) {
    const char* name = name_of(static_cast<KeyKind>(kind));
    // Nobody asks for resets alone: they are looked at on the way to pages.
    if (name == nullptr || kind == static_cast<std::size_t>(KeyKind::kTruncation)) continue;
    const pg::ReadStatistics& read = statistics.reads[kind];
    Datum values[9];
    bool nulls[9] = {};
    values[0] = CStringGetTextDatum(name);
    values[1] = Int64GetDatum(static_cast<int64>(read.requests));
    values[2] = Int64GetDatum(static_cast<int64>(read.pages));
    values[3] = Int64GetDatum(static_cast<int64>(read.redo_calls));
    values[4] = Int64GetDatum(static_cast<int64>(read.lookups));
    values[5] = Int64GetDatum(static_cast<int64>(read.blocks));
    values[6] = Int64GetDatum(static_cast<int64>(read.bytes));
    values[7] = Float8GetDatum(static_cast<double>(read.nanoseconds) / 1e6);
    values[8] = TimestampTzGetDatum(statistics.since);
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
  return Datum{0};
}

PG_FUNCTION_INFO_V1(strata_stat_reset);
Datum strata_stat_reset(PG_FUNCTION_ARGS) {
  require_enabled();
  // As pg_stat_reset() and its like.
  if (travel::travelling()) PreventCommandIfReadOnly("strata.stat_reset()");
  pg::reset_statistics();
  PG_RETURN_VOID();
}

}  // extern "C"

}  // namespace strata::sql
