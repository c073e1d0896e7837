#include "workers/compaction_worker.h"

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "fmgr.h"
#include "storage/ipc.h"
#include "storage/spin.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

PGDLLEXPORT void strata_compaction_main(Datum argument);
}

#include <algorithm>
#include <memory>
#include <new>
#include <string>

#include "pg/activity.h"
#include "pg/guard.h"
#include "pg/lsn_format.h"
#include "pg/pg_env.h"
#include "pg/shared_state.h"
#include "redo/redo_rebuilder.h"
#include "store/compactor.h"
#include "workers/time_slices.h"
#include "workers/priority.h"
#include "workers/process.h"
#include "workers/retention.h"
#include "workers/store_owner.h"
#include "workers/transient_errors.h"
#include "workers/wal_lag.h"

namespace strata::workers {
namespace {

constexpr long kSleepWithoutWork = 500;  // milliseconds
constexpr long kSleepForWriter = 50;
constexpr int kMillisecondsBetweenWarnings = 60 * 1000;
// So much WAL, in memtables, may come while work is done with sleeps: lookups grow slower with each layer.
constexpr Lsn kMaxMemtablesMeanwhile = 32;
// The server is idle when it has not written more than so much WAL within a second for so long, and ingest, too, has
// not got on by more.
constexpr Lsn kIdleWal = 64 * 1024;  // bytes
constexpr int kMillisecondsToIdle = 1000;
constexpr long kMaxMillisecondsToIdle = 10 * 60 * 1000;  // milliseconds

bool compaction_enabled = true;
int maintenance_work_mem_kb = 64 * 1024;
int merge_threshold = 24;

Lsn work_began_at = kInvalidLsn;  // what was visible then

redo::RedoRebuilder rebuilder;
std::unique_ptr<Compactor> compactor;

// While file descriptors and shared memory still work.
void close_compactor(int, Datum) { compactor.reset(); }

// What a process waits for after it has done what it can, and for how long.
struct Pause {
  long milliseconds;
  pg::Wait wait;
};

bool history_runs() {
  SpinLockAcquire(&pg::shared_state->mutex);
  const pg::HistoryState state = pg::shared_state->state;
  SpinLockRelease(&pg::shared_state->mutex);
  return state == pg::HistoryState::kRunning;
}

bool merging_is_wanted() { return (compaction_enabled || retention_is_limited()) && history_runs(); }

// The history that is being merged does not go on.
class Abandoned {};

double lateness() {
  const Lsn seen = pg::shared_store->visible_lsn();
  if (seen <= work_began_at) return 0;
  return static_cast<double>(seen - work_began_at) / static_cast<double>(kMaxMemtablesMeanwhile * pg::memtable_bytes());
}

// Nothing but the number of layers waits for a merge.
TimeSlices time_slices(lateness, 4 * TimeSlices::kSleepMs);

// Sessions write again while a merge is done that was not urgent.
class LoadIsBack {};

// After a merge that was broken off: as long as that was in work. So no more work is lost than the time that passes
// idle.
int milliseconds_to_idle = kMillisecondsToIdle;

// Asked again and again.
bool server_is_idle() {
  static Lsn seen = kInvalidLsn;
  static TimestampTz seen_at = 0;
  static TimestampTz busy_at = GetCurrentTimestamp();
  // Grows with what sessions write, and while ingest works it off.
  const Lsn sum = GetFlushRecPtr(nullptr) + pg::shared_store->visible_lsn();
  const TimestampTz now = GetCurrentTimestamp();
  const bool is_busy = sum < seen || sum > seen + kIdleWal;
  if (is_busy) busy_at = now;
  if (is_busy || TimestampDifferenceExceeds(seen_at, now, kMillisecondsToIdle)) {
    seen = sum;
    seen_at = now;
  }
  return TimestampDifferenceExceeds(busy_at, now, milliseconds_to_idle);
}

// Called for each version.
void pause() {
  handle_interrupts();
  if (!time_slices.is_over()) return;
  enforce_wal_lag();
  if (!merging_is_wanted()) throw Abandoned();
  if (compactor->is_idle_merge() && !server_is_idle()) throw LoadIsBack();
  time_slices.step();
}

void open_compactor() {
  CompactorOptions options;
  options.memory_bytes = static_cast<std::size_t>(maintenance_work_mem_kb) * 1024;
  options.flushed_fan_in = static_cast<std::size_t>(merge_threshold);
  options.pause = pause;
  compactor =
      std::make_unique<Compactor>(pg::pg_env(), pg::kStoreDirectory, *pg::shared_store, rebuilder, std::move(options));
}

void log_merge(const MergeResult& merge, long milliseconds) {
  ereport(DEBUG1,
          (errmsg_internal("strata: merged %zu layers of %llu bytes into %zu of level %d with %llu bytes in %ld ms: "
                           "%llu diffs, %llu images put in, %llu pages not rebuilt",
                           merge.inputs, static_cast<unsigned long long>(merge.input_bytes), merge.outputs, merge.level,
                           static_cast<unsigned long long>(merge.output_bytes), milliseconds,
                           static_cast<unsigned long long>(merge.chains.diffs),
                           static_cast<unsigned long long>(merge.chains.images),
                           static_cast<unsigned long long>(merge.chains.unknown))));
}

bool collect_garbage() {
  const TimestampTz started = GetCurrentTimestamp();
  if (compactor->waits_for_writer()) return false;
  const std::optional<GcOrder> order = next_gc();
  if (!order) return false;
  pg::report_compaction(pg::CompactionState::kMerging);
  const std::optional<GcResult> gc = compactor->collect_garbage(order->cutoff, order->horizon, order->oldest_multixact);
  if (!gc) return false;
  ereport(LOG,
          (errmsg("strata: history before %X/%X is gone: %zu layers of %llu bytes became %zu of %llu bytes in %ld ms",
                  LSN_FORMAT_ARGS(gc->cutoff), gc->inputs, static_cast<unsigned long long>(gc->input_bytes),
                  gc->outputs, static_cast<unsigned long long>(gc->output_bytes),
                  TimestampDifferenceMilliseconds(started, GetCurrentTimestamp()))));
  return true;
}

void merge() {
  const TimestampTz started = GetCurrentTimestamp();
  const bool idle = server_is_idle();
  pg::report_compaction(pg::CompactionState::kMerging);
  const auto milliseconds = [&] { return TimestampDifferenceMilliseconds(started, GetCurrentTimestamp()); };
  try {
    const std::optional<MergeResult> merge = compactor->merge(idle);
    if (!merge) {
      pg::pg_env().reached("compaction-no-merge");
      return;
    }
    log_merge(*merge, milliseconds());
    pg::forget_compaction_error();
    milliseconds_to_idle = kMillisecondsToIdle;
  } catch (const LoadIsBack&) {
    milliseconds_to_idle =
        static_cast<int>(std::clamp<long>(milliseconds(), kMillisecondsToIdle, kMaxMillisecondsToIdle));
    ereport(DEBUG1,
            (errmsg_internal("strata: broke off a merge after %ld ms, because there is load again", milliseconds())));
  }
}

// Does what there is to do.
Pause compact() {
  if (!merging_is_wanted() || !share_store()) {
    compactor.reset();
    pg::report_compaction(compaction_enabled ? pg::CompactionState::kWaiting : pg::CompactionState::kOff);
    return {.milliseconds = kSleepWithoutWork, .wait = pg::Wait::kCompactionIdle};
  }
  // A reload tries again what was given up.
  static unsigned reloads = 0;
  if (compactor == nullptr || reloads != configuration_reloads()) {
    compactor.reset();
    open_compactor();
    reloads = configuration_reloads();
  }
  if (collect_garbage()) {
    pg::forget_compaction_error();
  } else if (compaction_enabled) {
    merge();
  }
  if (!compactor->waits_for_writer()) {
    pg::report_compaction(pg::CompactionState::kIdle);
    return {.milliseconds = kSleepWithoutWork, .wait = pg::Wait::kCompactionIdle};
  }
  pg::report_compaction(pg::CompactionState::kResultReady);
  pg::wake_ingest();
  return {.milliseconds = kSleepForWriter, .wait = pg::Wait::kCompactionHandover};
}

void warn(const std::string& error, bool passes) {
  pg::report_compaction_error(error.c_str());
  static TimestampTz last_warning = 0;
  const TimestampTz now = GetCurrentTimestamp();
  if (passes && !TimestampDifferenceExceeds(last_warning, now, kMillisecondsBetweenWarnings)) return;
  last_warning = now;
  ereport(
      WARNING,
      (errmsg("strata: layers could not be merged: %s", error.c_str()),
       passes ? errhint("The merge is tried again when the cause is gone.")
              : errhint("These layers stay as they are, history goes on. A reload of the configuration tries again.")));
}

Pause try_to_compact() {
  try {
    enforce_wal_lag();
    return compact();
  } catch (const Abandoned&) {
    compactor.reset();
    return {.milliseconds = kSleepWithoutWork, .wait = pg::Wait::kCompactionIdle};
  } catch (const StoreError& error) {
    // Files of a history that was given up.
    if (!merging_is_wanted()) return {.milliseconds = kSleepWithoutWork, .wait = pg::Wait::kCompactionIdle};
    warn(error.what(), is_transient(error));
  } catch (const pg::PgError& error) {
    clean_up_after_error();
    warn(error.what(), true);
  } catch (const std::bad_alloc&) {
    warn("out of memory", true);
  }
  return {.milliseconds = kSleepAfterError, .wait = pg::Wait::kCompactionRetry};
}

void run() {
  before_shmem_exit(close_compactor, 0);
  for (;;) {
    work_began_at = pg::shared_store->visible_lsn();
    const Pause pause = try_to_compact();
    sleep_for(pause.milliseconds, pause.wait);
  }
}

}  // namespace

void define_compaction_settings() {
  DefineCustomBoolVariable("strata.compaction", "Merges the layers of history in the background.", nullptr,
                           &compaction_enabled, compaction_enabled, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("strata.maintenance_work_mem", "Memory for merging the layers of history.", nullptr,
                          &maintenance_work_mem_kb, maintenance_work_mem_kb, 4 * 1024, MAX_KILOBYTES, PGC_SIGHUP,
                          GUC_UNIT_KB, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("strata.merge_threshold", "Number of flushed memtables that are merged under load.",
                          "More of them cost merges less, and who travels meanwhile searches more layers.",
                          &merge_threshold, merge_threshold, 2, 64, PGC_SIGHUP, 0, nullptr, nullptr, nullptr);
}

void register_compaction_worker() {
  const std::string error = register_worker("strata compaction", "strata_compaction_main");
  if (!error.empty()) pg::begin_without_compaction(error.c_str());
}

}  // namespace strata::workers

void strata_compaction_main(Datum) {
  strata::workers::start_process();
  strata::workers::lower_priority();
  strata::pg::guarded([] { strata::workers::run(); });
}
