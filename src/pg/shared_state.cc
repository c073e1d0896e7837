#include "pg/shared_state.h"

#include "pg/activity.h"
#include "pg/guard.h"
#include "pg/locks.h"
#include "pg/pg_env.h"
#include "pg/redo_faults.h"
#include "pg/statistics.h"
#include "pg/wait_events.h"

extern "C" {
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/guc.h"
}

#include <unistd.h>

#include <algorithm>
#include <memory>
#include <new>

#include "travel/moment.h"
#include "travel/standing.h"
#include "travellers/channel.h"
#include "travellers/places.h"

namespace strata::pg {

SharedState* shared_state = nullptr;
SharedStore* shared_store = nullptr;
int memtable_size_kb = 128 * 1024;

namespace {

shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;

// Decoded blocks that a travelling session keeps: hundreds of sessions may travel.
constexpr std::size_t kReaderCacheBytes = std::size_t{16} << 20;
std::unique_ptr<Reader> reader;

std::size_t store_region_bytes() { return std::max(SharedStore::min_size(), std::size_t{memtable_bytes()}); }

void request_shared_memory() {
  if (previous_request_hook != nullptr) previous_request_hook();
  RequestAddinShmemSpace(CACHELINEALIGN(sizeof(SharedState)));
  RequestAddinShmemSpace(CACHELINEALIGN(store_region_bytes()) + PG_CACHE_LINE_SIZE);
  RequestAddinShmemSpace(CACHELINEALIGN(travel::moment_table_bytes()));
  RequestAddinShmemSpace(CACHELINEALIGN(activity_bytes()));
  RequestAddinShmemSpace(CACHELINEALIGN(statistics_bytes()));
  RequestAddinShmemSpace(CACHELINEALIGN(redo_faults_bytes()));
  RequestAddinShmemSpace(CACHELINEALIGN(travel::standing_table_bytes()));
  RequestNamedLWLockTranche(kLockTranche, kLocks);
  RequestAddinShmemSpace(CACHELINEALIGN(travellers::channels_bytes()));
  RequestAddinShmemSpace(CACHELINEALIGN(travellers::places_bytes()));
  travellers::request_places_lock();
}

void startup_shared_memory() {
  if (previous_startup_hook != nullptr) previous_startup_hook();
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);

  bool found = false;
  shared_state = static_cast<SharedState*>(ShmemInitStruct("strata state", sizeof(SharedState), &found));
  if (!found) {
    new (shared_state) SharedState{};
    SpinLockInit(&shared_state->mutex);
    shared_state->state = HistoryState::kStarting;
    shared_state->ingest_proc = INVALID_PROC_NUMBER;
    shared_state->flush_proc = INVALID_PROC_NUMBER;
    ConditionVariableInit(&shared_state->progress);
    pg_atomic_init_u64(&shared_state->awaited_lsn, kMaxLsn);
    pg_atomic_init_u64(&shared_state->trimmed_lsn, kInvalidLsn);
    pg_atomic_init_u64(&shared_state->flush_wanted, kInvalidLsn);
    pg_atomic_init_u32(&shared_state->first_history_awaited, access(kStoreDirectory, F_OK) == 0 ? 0 : 1);
  }

  const std::size_t bytes = store_region_bytes();
  char* region = static_cast<char*>(ShmemInitStruct("strata memtable", bytes + PG_CACHE_LINE_SIZE, &found));
  region = reinterpret_cast<char*>(TYPEALIGN(PG_CACHE_LINE_SIZE, region));
  if (!found) {
    shared_store = &SharedStore::create({reinterpret_cast<std::byte*>(region), bytes});
  } else {
    shared_store = &SharedStore::attach(region);
  }

  void* moments = ShmemInitStruct("strata moments", travel::moment_table_bytes(), &found);
  travel::attach_moment_table(moments, !found);

  void* activity = ShmemInitStruct("strata activity", activity_bytes(), &found);
  attach_activity(activity, !found);
  void* sums = ShmemInitStruct("strata statistics", statistics_bytes(), &found);
  attach_statistics(sums, !found);
  void* faults = ShmemInitStruct("strata redo faults", redo_faults_bytes(), &found);
  attach_redo_faults(faults, !found);
  void* places = ShmemInitStruct("strata standing", travel::standing_table_bytes(), &found);
  travel::attach_standing_table(places, !found);
  void* channels = ShmemInitStruct("strata channels", travellers::channels_bytes(), &found);
  travellers::attach_channels(channels, !found);
  void* others = ShmemInitStruct("strata workers", travellers::places_bytes(), &found);
  travellers::attach_places(others, !found);

  LWLockRelease(AddinShmemInitLock);
}

// While file descriptors and shared memory still work: a reader holds a slot there.
void close_reader(int, Datum) { reader.reset(); }

[[noreturn]] void raise_stopped() {
  const HistoryError last = history_error();
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("history has stopped"),
                  errdetail_internal("%s", last.error), last.hint[0] != '\0' ? errhint("%s", last.hint) : 0));
  pg_unreachable();
}

void wake(const ProcNumber& worker) {
  SpinLockAcquire(&shared_state->mutex);
  const ProcNumber number = worker;
  SpinLockRelease(&shared_state->mutex);
  if (number != INVALID_PROC_NUMBER) SetLatch(&GetPGProcByNumber(number)->procLatch);
}

// Lowers awaited_lsn to `lsn`; a memory barrier.
void await(XLogRecPtr lsn) {
  uint64 least = pg_atomic_read_u64(&shared_state->awaited_lsn);
  while (!pg_atomic_compare_exchange_u64(&shared_state->awaited_lsn, &least, std::min<uint64>(least, lsn))) {
  }
}

// A session that waits while history is held up, maybe for hours, is told why.
void warn_if_held_up(bool& warned) {
  if (warned) return;
  const HistoryError last = history_error();
  if (last.error[0] == '\0') return;
  warned = true;
  ereport(WARNING,
          (errmsg("waiting for history, which is held up"), errdetail_internal("%s", last.error),
           errhint("The session goes on when the cause is gone; moments that history has reached do not wait.")));
}

}  // namespace

void define_shared_settings() {
  DefineCustomIntVariable("strata.memtable_size", "Shared memory for versions that are not in layer files yet.",
                          nullptr, &memtable_size_kb, memtable_size_kb, 4 * 1024, MAX_KILOBYTES, PGC_POSTMASTER,
                          GUC_UNIT_KB, nullptr, nullptr, nullptr);
}

void install_shared_memory_hooks() {
  previous_request_hook = shmem_request_hook;
  shmem_request_hook = request_shared_memory;
  previous_startup_hook = shmem_startup_hook;
  shmem_startup_hook = startup_shared_memory;
}

Reader& store_reader() {
  static bool registered = false;
  if (!registered) {
    before_shmem_exit(close_reader, 0);
    registered = true;
  }
  if (reader == nullptr) {
    guarded([] {
      reader = std::make_unique<Reader>(pg_env(), kStoreDirectory, shared_store,
                                        ReaderOptions{.cache_bytes = kReaderCacheBytes});
    });
  }
  return *reader;
}

void raise_horizon(const Horizon& horizon) {
  SpinLockAcquire(&shared_state->mutex);
  if (horizon.lsn > shared_state->horizon.lsn) shared_state->horizon = horizon;
  SpinLockRelease(&shared_state->mutex);
}

bool is_trimmed(XLogRecPtr lsn) {
  pg_memory_barrier();
  return lsn < pg_atomic_read_u64(&shared_state->trimmed_lsn);
}

void report_history_error(HistoryState state, const char* error, const char* hint) {
  HistoryError fresh;
  strlcpy(fresh.error, error, kErrorBytes);
  strlcpy(fresh.hint, hint != nullptr ? hint : "", kErrorBytes);
  fresh.time = GetCurrentTimestamp();
  {
    const LockHolder holder(Lock::kHistoryError);
    shared_state->last_error = fresh;
  }
  SpinLockAcquire(&shared_state->mutex);
  shared_state->state = state;
  SpinLockRelease(&shared_state->mutex);
  pg_atomic_write_u32(&shared_state->first_history_awaited, 0);
  ConditionVariableBroadcast(&shared_state->progress);
}

HistoryError history_error() {
  const LockHolder holder(Lock::kHistoryError, LW_SHARED);
  return shared_state->last_error;
}

HistoryState history_state() {
  SpinLockAcquire(&shared_state->mutex);
  const HistoryState state = shared_state->state;
  SpinLockRelease(&shared_state->mutex);
  return state;
}

void wake_ingest() { wake(shared_state->ingest_proc); }

void wake_flusher() { wake(shared_state->flush_proc); }

void wait_for_visible(XLogRecPtr lsn) {
  if (shared_store->visible_lsn() >= lsn) return;
  XLogFlush(lsn);

  ConditionVariablePrepareToSleep(&shared_state->progress);
  bool warned = false;
  // Who is told of by awaited_lsn is on the list of `progress` already, and looks at visible_lsn after that:
  // wake_waiters() raises, looks, and wakes in the opposite order.
  for (await(lsn); shared_store->visible_lsn() < lsn; await(lsn)) {
    if (history_state() == HistoryState::kStopped) raise_stopped();
    wake_ingest();
    warn_if_held_up(warned);
    ConditionVariableTimedSleep(&shared_state->progress, 100, wait_event(Wait::kIngestProgress));
  }
  ConditionVariableCancelSleep();
}

void wake_waiters() {
  pg_memory_barrier();
  if (pg_atomic_read_u64(&shared_state->awaited_lsn) > shared_store->visible_lsn()) return;
  pg_atomic_exchange_u64(&shared_state->awaited_lsn, kMaxLsn);
  ConditionVariableBroadcast(&shared_state->progress);
}

}  // namespace strata::pg
