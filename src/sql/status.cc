// strata.status() and strata.horizon(): what ingest does and how far back history reaches.
extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
}

#include <vector>

#include "pg/guard.h"
#include "pg/shared_state.h"
#include "sql/prerequisites.h"

namespace strata::sql {

namespace {

const char* name_of(pg::HistoryState state) {
  switch (state) {
    case pg::HistoryState::kStarting:
      return "starting";
    case pg::HistoryState::kBaseline:
      return "baseline";
    case pg::HistoryState::kRunning:
      return "running";
    case pg::HistoryState::kStopped:
      return "stopped";
  }
  return "unknown";
}

struct Snapshot {
  pg::HistoryState state;
  char error[pg::kErrorBytes];
  char hint[pg::kErrorBytes];
  TimestampTz error_time;
  uint64 blocks_done;
  uint64 blocks_total;
  Horizon horizon;
};

Snapshot take_snapshot() {
  Snapshot snapshot;
  pg::SharedState* shared = pg::shared_state;
  SpinLockAcquire(&shared->mutex);
  snapshot.state = shared->state;
  memcpy(snapshot.error, shared->error, sizeof(snapshot.error));
  memcpy(snapshot.hint, shared->hint, sizeof(snapshot.hint));
  snapshot.error_time = shared->error_time;
  snapshot.blocks_done = shared->baseline_blocks_done;
  snapshot.blocks_total = shared->baseline_blocks_total;
  snapshot.horizon = shared->horizon;
  SpinLockRelease(&shared->mutex);
  return snapshot;
}

double baseline_progress(const Snapshot& snapshot) {
  if (snapshot.horizon.lsn != kInvalidLsn) return 1;
  if (snapshot.blocks_total == 0) return 0;
  // The cluster may grow while it is copied.
  const double progress = static_cast<double>(snapshot.blocks_done) / static_cast<double>(snapshot.blocks_total);
  return progress < 1 ? progress : 1;
}

struct LayerTotals {
  int64 count = 0;
  int64 bytes = 0;
  pg::CaughtError error;  // set when the store cannot be read; the status must be shown even then
};

LayerTotals layer_totals() {
  LayerTotals totals;
  try {
    Reader* reader = nullptr;
    pg::caught([&reader] { reader = &pg::store_reader(); });
    for (const LayerInfo& layer : reader->layers()) {
      ++totals.count;
      totals.bytes += static_cast<int64>(layer.bytes);
    }
  } catch (...) {
    pg::describe_current_exception(totals.error);
  }
  return totals;
}

Datum row(FunctionCallInfo fcinfo, Datum* values, bool* nulls) {
  TupleDesc descriptor = nullptr;
  if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls));
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_status);
Datum strata_status(PG_FUNCTION_ARGS) {
  require_enabled();
  const Snapshot snapshot = take_snapshot();
  // Nobody has written the store yet, which is no error.
  const LayerTotals layers = snapshot.state == pg::HistoryState::kStarting ? LayerTotals() : layer_totals();
  const Lsn ingested = pg::shared_store->visible_lsn();
  const XLogRecPtr flushed = GetFlushRecPtr(nullptr);

  const bool unreadable = snapshot.error[0] == '\0' && layers.error.set;
  const char* error = unreadable ? layers.error.message : snapshot.error;
  const char* hint = unreadable ? layers.error.hint : snapshot.hint;

  Datum values[11];
  bool nulls[11] = {};
  values[0] = CStringGetTextDatum(name_of(snapshot.state));
  values[1] = Float8GetDatum(baseline_progress(snapshot));
  values[2] = LSNGetDatum(snapshot.horizon.lsn);
  values[3] = TimestampTzGetDatum(snapshot.horizon.time);
  nulls[2] = nulls[3] = snapshot.horizon.lsn == kInvalidLsn;
  values[4] = LSNGetDatum(ingested);
  values[5] = Int64GetDatum(flushed > ingested ? static_cast<int64>(flushed - ingested) : 0);
  nulls[4] = nulls[5] = ingested == kInvalidLsn;
  values[6] = Int32GetDatum(static_cast<int32>(layers.count));
  values[7] = Int64GetDatum(layers.bytes);
  values[8] = CStringGetTextDatum(error);
  nulls[8] = error[0] == '\0';
  values[9] = TimestampTzGetDatum(snapshot.error_time);
  nulls[9] = snapshot.error[0] == '\0';
  values[10] = CStringGetTextDatum(hint);
  nulls[10] = hint[0] == '\0';
  PG_RETURN_DATUM(row(fcinfo, values, nulls));
}

PG_FUNCTION_INFO_V1(strata_horizon);
Datum strata_horizon(PG_FUNCTION_ARGS) {
  require_enabled();
  const Snapshot snapshot = take_snapshot();
  Datum values[2] = {LSNGetDatum(snapshot.horizon.lsn), TimestampTzGetDatum(snapshot.horizon.time)};
  bool nulls[2];
  nulls[0] = nulls[1] = snapshot.horizon.lsn == kInvalidLsn;
  PG_RETURN_DATUM(row(fcinfo, values, nulls));
}

}  // extern "C"

}  // namespace strata::sql
