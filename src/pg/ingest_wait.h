// How a session waits until ingest has reached an LSN.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
}

#include <chrono>

namespace strata::pg {

// How long this process waits at most for what other processes have yet to do: "lock_timeout", and while a connection
// is made that asks for nothing but what is stored, kLongestWaitOfStored. The wait begins with the construction.
class WaitLimit {
 public:
  // What is left; -1: no limit.
  [[nodiscard]] long milliseconds_left() const;
  // Raises an ERROR (ERRCODE_LOCK_NOT_AVAILABLE) when nothing is left.
  void check() const;

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

inline constexpr int kLongestWaitOfStored = 1000;  // milliseconds

// Whether waits are for a stored setting of a connection that is being made.
void set_waiting_for_stored(bool stored);

// Waits until ingest has made `lsn` visible; cancellable, and not longer than WaitLimit says. Raises an ERROR with the
// reason when history has stopped. Flushes WAL up to lsn first. REQUIRES: lsn is not beyond the WAL that has been
// inserted.
void wait_for_visible(XLogRecPtr lsn);
// After visible_lsn has risen: wakes the sessions that wait, where one of them has what it waits for.
void wake_waiters();

}  // namespace strata::pg
