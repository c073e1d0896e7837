#include "pg/activity.h"

#include "pg/shared_memory.h"

extern "C" {
#include "port/atomics.h"
#include "utils/timestamp.h"
}

#include <new>

#include "pg/locks.h"

namespace strata::pg {

namespace {

struct SharedActivity {
  CompactionActivity compaction;  // under Lock::kCompaction
  pg_atomic_uint64 end_of_wal;
};

SharedActivity* shared = nullptr;

CompactionActivity at_start;

}  // namespace

void register_activity() {
  const auto attach = [](void* memory, bool initialize) {
    shared = static_cast<SharedActivity*>(memory);
    if (!initialize) return;
    new (shared) SharedActivity{};
    shared->compaction = at_start;
    pg_atomic_init_u64(&shared->end_of_wal, 0);
  };
  register_shared_memory({"strata activity", [] { return sizeof(SharedActivity); }, attach});
}

void begin_without_compaction(const char* error) {
  at_start.state = CompactionState::kMissing;
  at_start.error_time = GetCurrentTimestamp();
  strlcpy(at_start.error, error, sizeof(at_start.error));
}

void report_compaction(CompactionState state) {
  const LockHolder holder(Lock::kCompaction);
  shared->compaction.state = state;
}

void report_compaction_error(const char* error) {
  const TimestampTz now = GetCurrentTimestamp();
  const LockHolder holder(Lock::kCompaction);
  shared->compaction.state = CompactionState::kRetrying;
  shared->compaction.error_time = now;
  strlcpy(shared->compaction.error, error, sizeof(shared->compaction.error));
}

void forget_compaction_error() {
  const LockHolder holder(Lock::kCompaction);
  shared->compaction.error[0] = '\0';
  shared->compaction.error_time = 0;
}

CompactionActivity compaction_activity() {
  const LockHolder holder(Lock::kCompaction, LW_SHARED);
  return shared->compaction;
}

void report_end_of_wal() { pg_atomic_write_u64(&shared->end_of_wal, static_cast<uint64>(GetCurrentTimestamp())); }

TimestampTz last_end_of_wal() { return static_cast<TimestampTz>(pg_atomic_read_u64(&shared->end_of_wal)); }

}  // namespace strata::pg
