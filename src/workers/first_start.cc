#include "workers/first_start.h"

extern "C" {
#include "postgres.h"

#include "libpq/auth.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/spin.h"
#include "utils/timestamp.h"
}

#include <unistd.h>

#include "pg/shared_state.h"
#include "pg/wait_events.h"

namespace strata::workers {

namespace {

// A small cluster's baseline takes a tenth of this.
constexpr int kLongestWait = 2000;  // milliseconds after the server's start
constexpr long kNap = 5;            // milliseconds

ClientAuthentication_hook_type previous_hook = nullptr;

// Looks at the clock first, so that later sessions never wait for who holds the mutex.
bool history_may_begin_soon() {
  if (TimestampDifferenceExceeds(PgStartTime, GetCurrentTimestamp(), kLongestWait)) return false;
  SpinLockAcquire(&pg::shared_state->mutex);
  const bool begun = pg::shared_state->horizon.lsn != kInvalidLsn;
  const bool stopped = pg::shared_state->state == pg::HistoryState::kStopped;
  SpinLockRelease(&pg::shared_state->mutex);
  return !begun && !stopped;
}

void wait_for_first_history(Port* port, int status) {
  if (previous_hook != nullptr) previous_hook(port, status);
  if (status != STATUS_OK) return;
  while (history_may_begin_soon()) {
    WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, kNap, pg::wait_event(pg::Wait::kFirstStart));
    CHECK_FOR_INTERRUPTS();
  }
}

}  // namespace

void install_first_start_hook() {
  if (access(pg::kStoreDirectory, F_OK) == 0) return;
  previous_hook = ClientAuthentication_hook;
  ClientAuthentication_hook = wait_for_first_history;
}

}  // namespace strata::workers
