// strata.status() and strata.horizon(): what ingest does and how far back history reaches.
extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "common/relpath.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
}

#include <algorithm>
#include <cstddef>
#include <set>
#include <vector>

#include "pg/activity.h"
#include "pg/belonging.h"
#include "pg/guard.h"
#include "pg/lsn_format.h"
#include "pg/redo_faults.h"
#include "pg/shared_state.h"
#include "pg/statistics.h"
#include "pg/store_reader.h"
#include "sql/prerequisites.h"
#include "sql/row.h"
#include "travel/resolve.h"
#include "travel/session.h"
#include "workers/wal_lag.h"

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
  pg::HistoryError last;
  pg::HistoryError given_up;
  uint64 blocks_done;
  uint64 blocks_total;
  Horizon horizon;
};

Snapshot take_snapshot() {
  Snapshot snapshot;
  pg::SharedState* shared = pg::shared_state;
  SpinLockAcquire(&shared->mutex);
  snapshot.state = shared->state;
  snapshot.blocks_done = shared->baseline_blocks_done;
  snapshot.blocks_total = shared->baseline_blocks_total;
  snapshot.horizon = shared->horizon;
  SpinLockRelease(&shared->mutex);
  snapshot.last = pg::history_error();
  snapshot.given_up = pg::why_given_up();
  return snapshot;
}

double baseline_progress(const Snapshot& snapshot) {
  if (snapshot.horizon.lsn != kInvalidLsn) return 1;
  if (snapshot.blocks_total == 0) return 0;
  // The cluster may grow while it is copied.
  const double progress = static_cast<double>(snapshot.blocks_done) / static_cast<double>(snapshot.blocks_total);
  return progress < 1 ? progress : 1;
}

// Versions in a sample of chains: enough for percentiles, few enough for a status that is asked for every second.
constexpr std::size_t kSampledChains = 200;

struct StoreFigures {
  int64 layers = 0;
  int64 bytes = 0;
  int64 levels = 0;
  int64 chains = 0;                                 // sampled
  int64 median = 0, p90 = 0, p99 = 0, longest = 0;  // their lengths
  pg::CaughtError error;  // set when the store cannot be read; the status must be shown even then
};

StoreFigures store_figures() {
  StoreFigures figures;
  try {
    Reader* reader = nullptr;
    pg::caught([&reader] { reader = &pg::store_reader(); });
    std::set<int> levels;
    for (const LayerInfo& layer : reader->layers()) {
      ++figures.layers;
      figures.bytes += static_cast<int64>(layer.bytes);
      levels.insert(layer.level);
    }
    figures.levels = static_cast<int64>(levels.size());
    std::vector<Reader::ChainLength> chains =
        reader->sample_chains(kSampledChains, static_cast<std::uint64_t>(GetCurrentTimestamp()));
    std::sort(chains.begin(), chains.end(), [](const auto& a, const auto& b) { return a.versions < b.versions; });
    const auto percentile = [&](std::size_t percent) -> int64 {
      return chains.empty() ? 0 : chains[(chains.size() - 1) * percent / 100].versions;
    };
    figures.median = percentile(50);
    figures.p90 = percentile(90);
    figures.p99 = percentile(99);
    figures.longest = percentile(100);
    figures.chains = static_cast<int64>(chains.size());
  } catch (...) {
    pg::describe_current_exception(figures.error);
  }
  return figures;
}

const char* name_of(pg::CompactionState state) {
  switch (state) {
    case pg::CompactionState::kStarting:
      return "starting";
    case pg::CompactionState::kOff:
      return "off";
    case pg::CompactionState::kWaiting:
      return "waiting";
    case pg::CompactionState::kIdle:
      return "idle";
    case pg::CompactionState::kMerging:
      return "merging";
    case pg::CompactionState::kResultReady:
      return "handover";
    case pg::CompactionState::kRetrying:
      return "retrying";
    case pg::CompactionState::kMissing:
      return "missing";
  }
  return "unknown";
}

// For how long there has been flushed WAL that is not ingested.
double lag_seconds(int64 lag_bytes) {
  if (lag_bytes == 0) return 0;
  TimestampTz since = pg::last_end_of_wal();
  if (since == 0) since = PgStartTime;
  const TimestampTz now = GetCurrentTimestamp();
  return now > since ? static_cast<double>(now - since) / USECS_PER_SEC : 0;
}

// "block 7 of relation base/5/16384 at 0/17C1FF0: signal 11: Segmentation fault"; empty when there was none.
const char* text_of(const pg::RedoFault& fault) {
  if (fault.lsn == kInvalidLsn) return "";
  const RelFileLocator locator = {fault.key.tablespace, fault.key.database, fault.key.relation};
  const RelPathStr path = relpathperm(locator, static_cast<ForkNumber>(fault.key.fork));
  return psprintf("block %u of relation %s at %X/%X: %s", fault.key.block, path.str, LSN_FORMAT_ARGS(fault.lsn),
                  fault.reason);
}

// The columns of one row, from the left.
class Columns {
 public:
  void add(Datum value, bool null = false) {
    Assert(count_ < lengthof(values_));
    values_[count_] = value;
    nulls_[count_++] = null;
  }
  void add_text(const char* value) { add(CStringGetTextDatum(value), value[0] == '\0'); }
  void add_int(int64 value, bool null = false) { add(Int64GetDatum(value), null); }

  Datum* values() { return values_; }
  bool* nulls() { return nulls_; }

 private:
  std::size_t count_ = 0;
  Datum values_[40] = {};
  bool nulls_[40] = {};
};

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_status);
Datum strata_status(PG_FUNCTION_ARGS) {
  require_enabled();
  const Snapshot snapshot = take_snapshot();
  // Where nobody has written the store yet, that is no error.
  const bool unwritten = snapshot.state == pg::HistoryState::kStarting && snapshot.horizon.lsn == kInvalidLsn;
  const StoreFigures store = unwritten ? StoreFigures() : store_figures();
  const pg::Statistics statistics = pg::statistics();
  const pg::WriteStatistics& writes = statistics.writes;
  const pg::CompactionActivity compaction = pg::compaction_activity();
  pg::RedoFault redo_fault;
  const uint64 redo_faults = pg::redo_fault_count(redo_fault);
  const Lsn ingested = pg::shared_store->visible_lsn();
  const XLogRecPtr flushed = GetFlushRecPtr(nullptr);
  const int64 lag = flushed > ingested ? static_cast<int64>(flushed - ingested) : 0;

  const bool unreadable = snapshot.last.error[0] == '\0' && store.error.set;
  const bool no_history = ingested == kInvalidLsn;
  const bool no_horizon = snapshot.horizon.lsn == kInvalidLsn;
  const std::uint64_t written = writes.flush_bytes + writes.merge_bytes;

  Columns row_values;
  row_values.add_text(name_of(snapshot.state));
  row_values.add(Float8GetDatum(baseline_progress(snapshot)));
  row_values.add(LSNGetDatum(snapshot.horizon.lsn), no_horizon);
  row_values.add(TimestampTzGetDatum(snapshot.horizon.time), no_horizon);
  row_values.add(LSNGetDatum(ingested), no_history);
  row_values.add_int(lag, no_history);
  row_values.add(Float8GetDatum(lag_seconds(lag)), no_history);
  row_values.add(Int32GetDatum(static_cast<int32>(store.layers)));
  row_values.add_int(store.bytes);
  row_values.add(Int32GetDatum(static_cast<int32>(store.levels)));
  row_values.add_int(static_cast<int64>(writes.wal_bytes));
  row_values.add_int(static_cast<int64>(writes.flush_bytes));
  row_values.add_int(static_cast<int64>(writes.merge_bytes));
  row_values.add(Float8GetDatum(static_cast<double>(written) / static_cast<double>(writes.wal_bytes)),
                 writes.wal_bytes == 0);
  row_values.add(TimestampTzGetDatum(statistics.since));
  for (const int64 length : {store.median, store.p90, store.p99, store.longest}) {
    row_values.add(Int32GetDatum(static_cast<int32>(length)), store.chains == 0);
  }
  row_values.add_text(name_of(compaction.state));
  row_values.add_text(compaction.error);
  row_values.add(TimestampTzGetDatum(compaction.error_time), compaction.error[0] == '\0');
  row_values.add_text(unreadable ? store.error.message : snapshot.last.error);
  row_values.add(TimestampTzGetDatum(snapshot.last.time), snapshot.last.error[0] == '\0');
  row_values.add_text(unreadable ? store.error.hint : snapshot.last.hint);
  const XLogRecPtr travel_lsn = travel::current_moment().lsn;
  row_values.add(LSNGetDatum(travel_lsn), travel_lsn == InvalidXLogRecPtr);
  workers::WalLag lag_of_wal;
  pg::guarded([&] { lag_of_wal = workers::wal_lag(); });
  row_values.add_int(static_cast<int64>(lag_of_wal.held));
  row_values.add_int(static_cast<int64>(lag_of_wal.limit), lag_of_wal.limit == kMaxLsn);
  row_values.add_int(static_cast<int64>(redo_faults));
  row_values.add_text(text_of(redo_fault));
  row_values.add(TimestampTzGetDatum(redo_fault.time), redo_fault.lsn == kInvalidLsn);
  const TimestampTz behind_until = no_horizon || store.error.set ? 0 : travel::clock_is_behind_until();
  row_values.add(TimestampTzGetDatum(behind_until), behind_until == 0);
  row_values.add_text(snapshot.given_up.error);
  row_values.add(TimestampTzGetDatum(snapshot.given_up.time), snapshot.given_up.error[0] == '\0');
  PG_RETURN_DATUM(row(fcinfo, row_values.values(), row_values.nulls()));
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
