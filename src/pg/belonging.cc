#include "pg/belonging.h"

#include <new>

#include "pg/locks.h"
#include "pg/shared_memory.h"

extern "C" {
#include "utils/timestamp.h"
}

namespace strata::pg {

SharedBelonging* shared_belonging = nullptr;

namespace {

void attach(void* memory, bool initialize) {
  shared_belonging = static_cast<SharedBelonging*>(memory);
  if (!initialize) return;
  new (shared_belonging) SharedBelonging{};
  pg_atomic_init_u64(&shared_belonging->owner, 0);
  pg_atomic_init_u32(&shared_belonging->begin_anew, 0);
}

}  // namespace

void register_belonging() {
  register_shared_memory({"strata belonging", [] { return sizeof(SharedBelonging); }, attach});
}

void report_given_up(const char* reason) {
  HistoryError fresh;
  strlcpy(fresh.error, reason, kErrorBytes);
  fresh.time = GetCurrentTimestamp();
  const LockHolder holder(Lock::kHistoryError);
  shared_belonging->given_up = fresh;
}

HistoryError why_given_up() {
  const LockHolder holder(Lock::kHistoryError, LW_SHARED);
  return shared_belonging->given_up;
}

}  // namespace strata::pg
