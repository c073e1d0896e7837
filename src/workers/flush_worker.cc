#include "workers/flush_worker.h"

extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

PGDLLEXPORT void strata_flush_main(Datum argument);
}

#include <memory>
#include <new>
#include <string>

#include "pg/guard.h"
#include "pg/pg_env.h"
#include "pg/shared_state.h"
#include "redo/redo_rebuilder.h"
#include "store/flusher.h"
#include "workers/time_slices.h"
#include "workers/priority.h"
#include "workers/process.h"
#include "workers/store_owner.h"

namespace strata::workers {
namespace {

constexpr long kSleepWithoutWork = 5000;  // milliseconds; ingest sets the latch when there is some
constexpr int kMillisecondsBetweenWarnings = 60 * 1000;

TimeSlices time_slices(lateness_of_history);
redo::RedoRebuilder rebuilder;
std::unique_ptr<Flusher> flusher;

// While file descriptors and shared memory still work. What is not finished goes back to ingest.
void leave(int, Datum) {
  flusher.reset();
  SpinLockAcquire(&pg::shared_state->mutex);
  pg::shared_state->flush_proc = INVALID_PROC_NUMBER;
  SpinLockRelease(&pg::shared_state->mutex);
  pg::wake_ingest();
}

void appear() {
  before_shmem_exit(leave, 0);
  SpinLockAcquire(&pg::shared_state->mutex);
  pg::shared_state->flush_proc = MyProcNumber;
  SpinLockRelease(&pg::shared_state->mutex);
}

void open_flusher() {
  if (flusher != nullptr) return;
  FlusherOptions options;
  options.pause = [] {
    handle_interrupts();
    time_slices.step();
  };
  flusher =
      std::make_unique<Flusher>(pg::pg_env(), pg::kStoreDirectory, *pg::shared_store, rebuilder, std::move(options));
}

// Ingest does the flush itself then, and meets the error if it is still there.
void warn(const std::string& error) {
  static TimestampTz last_warning = 0;
  const TimestampTz now = GetCurrentTimestamp();
  if (!TimestampDifferenceExceeds(last_warning, now, kMillisecondsBetweenWarnings)) return;
  last_warning = now;
  ereport(LOG, (errmsg("strata: the flush worker could not flush a memtable, ingest does it: %s", error.c_str())));
}

void flush() {
  try {
    const TimestampTz started = GetCurrentTimestamp();
    const std::optional<Flusher::Result> result = flusher->flush();
    if (!result) return;
    pg::wake_ingest();
    ereport(DEBUG1, (errmsg_internal("strata: flushed a memtable to %llu bytes in %ld ms: %llu images put in, %llu "
                                     "pages not rebuilt",
                                     static_cast<unsigned long long>(result->bytes),
                                     TimestampDifferenceMilliseconds(started, GetCurrentTimestamp()),
                                     static_cast<unsigned long long>(result->chains.images),
                                     static_cast<unsigned long long>(result->chains.unknown))));
    return;
  } catch (const StoreError& error) {
    warn(error.what());
  } catch (const pg::PgError& error) {
    clean_up_after_error();
    warn(error.what());
  } catch (const std::bad_alloc&) {
    warn("out of memory");
  }
  pg::wake_ingest();
}

void run() {
  appear();
  for (;;) {
    // Without a flusher ingest does it.
    if (share_store()) {
      open_flusher();
      flush();
    } else {
      flusher.reset();
    }
    sleep_for(kSleepWithoutWork, pg::Wait::kFlushIdle);
  }
}

}  // namespace

void register_flush_worker() { register_worker("strata flush", "strata_flush_main"); }

}  // namespace strata::workers

void strata_flush_main(Datum) {
  strata::workers::start_process();
  strata::workers::lower_priority();
  strata::pg::guarded([] { strata::workers::run(); });
}
