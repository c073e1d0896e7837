#include "pg/activity.h"

extern "C" {
#include "port/atomics.h"
#include "storage/spin.h"
#include "utils/timestamp.h"
}

#include <new>

namespace strata::pg {

namespace {

struct SharedActivity {
  slock_t mutex;  // of compaction
  CompactionActivity compaction;
  pg_atomic_uint64 end_of_wal;
};

SharedActivity* shared = nullptr;

}  // namespace

std::size_t activity_bytes() { return sizeof(SharedActivity); }

void attach_activity(void* memory, bool initialize) {
  shared = static_cast<SharedActivity*>(memory);
  if (!initialize) return;
  new (shared) SharedActivity{};
  SpinLockInit(&shared->mutex);
  pg_atomic_init_u64(&shared->end_of_wal, 0);
}

void report_compaction(CompactionState state) {
  SpinLockAcquire(&shared->mutex);
  shared->compaction.state = state;
  SpinLockRelease(&shared->mutex);
}

void report_compaction_error(const char* error) {
  const TimestampTz now = GetCurrentTimestamp();
  SpinLockAcquire(&shared->mutex);
  shared->compaction.state = CompactionState::kRetrying;
  shared->compaction.error_time = now;
  strlcpy(shared->compaction.error, error, sizeof(shared->compaction.error));
  SpinLockRelease(&shared->mutex);
}

void forget_compaction_error() {
  SpinLockAcquire(&shared->mutex);
  shared->compaction.error[0] = '\0';
  shared->compaction.error_time = 0;
  SpinLockRelease(&shared->mutex);
}

CompactionActivity compaction_activity() {
  SpinLockAcquire(&shared->mutex);
  const CompactionActivity activity = shared->compaction;
  SpinLockRelease(&shared->mutex);
  return activity;
}

void report_end_of_wal() { pg_atomic_write_u64(&shared->end_of_wal, static_cast<uint64>(GetCurrentTimestamp())); }

TimestampTz last_end_of_wal() { return static_cast<TimestampTz>(pg_atomic_read_u64(&shared->end_of_wal)); }

}  // namespace strata::pg
