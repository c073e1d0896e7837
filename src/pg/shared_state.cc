#include "pg/shared_state.h"

#include "pg/locks.h"
#include "pg/shared_memory.h"

extern "C" {
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
}

#include <unistd.h>

#include <algorithm>
#include <new>

namespace strata::pg {

SharedState* shared_state = nullptr;
SharedStore* shared_store = nullptr;
int memtable_size_kb = 128 * 1024;

namespace {

HistoryError stopped_from_start;

std::size_t store_region_bytes() { return std::max(SharedStore::min_size(), std::size_t{memtable_bytes()}); }

void attach_state(void* memory, bool initialize) {
  shared_state = static_cast<SharedState*>(memory);
  if (!initialize) return;
  new (shared_state) SharedState{};
  SpinLockInit(&shared_state->mutex);
  shared_state->state = HistoryState::kStarting;
  shared_state->ingest_proc = INVALID_PROC_NUMBER;
  shared_state->flush_proc = INVALID_PROC_NUMBER;
  ConditionVariableInit(&shared_state->progress);
  pg_atomic_init_u64(&shared_state->awaited_lsn, kMaxLsn);
  pg_atomic_init_u64(&shared_state->gc_cutoff, kInvalidLsn);
  pg_atomic_init_u64(&shared_state->flush_wanted, kInvalidLsn);
  const bool stopped = stopped_from_start.error[0] != '\0';
  if (stopped) {
    shared_state->state = HistoryState::kStopped;
    shared_state->last_error = stopped_from_start;
  }
  const bool awaited = !stopped && access(kStoreDirectory, F_OK) != 0;
  pg_atomic_init_u32(&shared_state->first_history_awaited, awaited ? 1 : 0);
}

void release_reader_slots(int, Datum) { shared_store->release_slots(); }

// A process that is terminated runs no destructors. After all that is called before the exit from shared memory: that
// may still read.
void release_reader_slots_at_exit() {
  static bool registered = false;
  if (registered) return;
  on_shmem_exit(release_reader_slots, 0);
  registered = true;
}

void attach_store(void* memory, bool initialize) {
  SharedStore::on_take_reader_slot(release_reader_slots_at_exit);
  if (initialize) {
    shared_store = &SharedStore::create({static_cast<std::byte*>(memory), store_region_bytes()});
  } else {
    shared_store = &SharedStore::attach(memory);
  }
}

void wake(const ProcNumber& worker) {
  SpinLockAcquire(&shared_state->mutex);
  const ProcNumber number = worker;
  SpinLockRelease(&shared_state->mutex);
  if (number != INVALID_PROC_NUMBER) SetLatch(&GetPGProcByNumber(number)->procLatch);
}

}  // namespace

void require_enabled() {
  if (shared_state != nullptr) return;
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("strata is not enabled"),
                  errhint("Set strata_enabled = on in postgresql.conf and restart the server.")));
}

void define_shared_settings() {
  DefineCustomIntVariable("strata.memtable_size", "Shared memory for versions that are not in layer files yet.",
                          nullptr, &memtable_size_kb, memtable_size_kb, 4 * 1024, MAX_KILOBYTES, PGC_POSTMASTER,
                          GUC_UNIT_KB, nullptr, nullptr, nullptr);
}

void register_shared_state() {
  register_shared_memory({"strata state", [] { return sizeof(SharedState); }, attach_state, kLockTranche, kLocks});
  register_shared_memory({"strata memtable", store_region_bytes, attach_store});
}

void raise_horizon(const Horizon& horizon) {
  SpinLockAcquire(&shared_state->mutex);
  if (horizon.lsn > shared_state->horizon.lsn) shared_state->horizon = horizon;
  SpinLockRelease(&shared_state->mutex);
}

bool is_below_gc_cutoff(XLogRecPtr lsn) {
  pg_memory_barrier();
  return lsn < pg_atomic_read_u64(&shared_state->gc_cutoff);
}

namespace {

HistoryError error_of_now(const char* error, const char* hint) {
  HistoryError fresh;
  strlcpy(fresh.error, error, kErrorBytes);
  strlcpy(fresh.hint, hint != nullptr ? hint : "", kErrorBytes);
  fresh.time = GetCurrentTimestamp();
  return fresh;
}

}  // namespace

void begin_stopped(const char* error, const char* hint) { stopped_from_start = error_of_now(error, hint); }

void report_history_error(HistoryState state, const char* error, const char* hint) {
  const HistoryError fresh = error_of_now(error, hint);
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

}  // namespace strata::pg
