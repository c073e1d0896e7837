// Locks in shared memory for what takes more than the few dozen instructions that a spinlock may be held for.
#pragma once

extern "C" {
#include "postgres.h"

#include "storage/lwlock.h"
}

namespace strata::pg {

// What each of them protects. None is taken while another one is held.
enum class Lock : int {
  kHistoryError = 0,  // SharedState::error, hint and error_time
  kCompaction = 1,    // what compaction does, and its last error
  kMoments = 2,       // the table of virtual tablespaces
};
inline constexpr int kLocks = 3;

inline constexpr const char* kLockTranche = "Strata";

// REQUIRES: shared memory is set up.
inline LWLock* lock_of(Lock lock) { return &GetNamedLWLockTranche(kLockTranche)[static_cast<int>(lock)].lock; }

// Holds one of them. REQUIRES: nothing that may ereport is called meanwhile.
class LockHolder {
 public:
  explicit LockHolder(Lock lock, LWLockMode mode = LW_EXCLUSIVE) : lock_(lock_of(lock)) { LWLockAcquire(lock_, mode); }
  ~LockHolder() { LWLockRelease(lock_); }
  LockHolder(const LockHolder&) = delete;
  LockHolder& operator=(const LockHolder&) = delete;

 private:
  LWLock* lock_;
};

}  // namespace strata::pg
