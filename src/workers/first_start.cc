#include "workers/first_start.h"

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "libpq/auth.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "utils/timestamp.h"
}

#include "pg/shared_state.h"
#include "pg/wait_events.h"
#include "workers/priority.h"

namespace strata::workers {

namespace {

// A new cluster's baseline takes a hundredth of this on a machine that has nothing else to do.
constexpr int kLongestWait = 10'000;  // milliseconds after the server's start

ClientAuthentication_hook_type previous_hook = nullptr;

void wait_for_first_history(Port* port, int status) {
  if (previous_hook != nullptr) previous_hook(port, status);
  if (status != STATUS_OK) return;
  if (!first_history_is_awaited()) return;
  ereport(DEBUG1, (errmsg_internal("strata: the session waits for the first history")));
  // Whoever sets first_history_awaited to 0 broadcasts `progress` after that.
  ConditionVariablePrepareToSleep(&pg::shared_state->progress);
  while (first_history_is_awaited()) {
    const TimestampTz end = TimestampTzPlusMilliseconds(PgStartTime, kLongestWait);
    const long left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), end);
    ConditionVariableTimedSleep(&pg::shared_state->progress, left + 1, pg::wait_event(pg::Wait::kFirstStart));
  }
  ConditionVariableCancelSleep();
}

}  // namespace

void install_first_start_hook() {
  previous_hook = ClientAuthentication_hook;
  ClientAuthentication_hook = wait_for_first_history;
}

// A standby makes no history before it is promoted.
bool first_history_is_awaited() {
  return pg_atomic_read_u32(&pg::shared_state->first_history_awaited) != 0 && !RecoveryInProgress() &&
         !TimestampDifferenceExceeds(PgStartTime, GetCurrentTimestamp(), kLongestWait);
}

void lower_priority_unless_awaited() {
  if (!first_history_is_awaited()) lower_priority();
}

}  // namespace strata::workers
