#include "pg/ingest_wait.h"

extern "C" {
#include "access/xlog.h"
#include "storage/proc.h"
}

#include <algorithm>

#include "pg/lsn_format.h"
#include "pg/shared_state.h"
#include "pg/wait_events.h"

namespace strata::pg {

namespace {

constexpr long kSleep = 100;  // milliseconds

bool waiting_for_stored = false;

[[noreturn]] void raise_stopped() {
  const HistoryError last = history_error();
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("history has stopped"),
                  errdetail_internal("%s", last.error), last.hint[0] != '\0' ? errhint("%s", last.hint) : 0));
  pg_unreachable();
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

// In milliseconds; -1: none.
long longest_wait() {
  if (!waiting_for_stored) return LockTimeout > 0 ? LockTimeout : -1;
  return LockTimeout > 0 ? std::min(LockTimeout, kLongestWaitOfStored) : kLongestWaitOfStored;
}

}  // namespace

void set_waiting_for_stored(bool stored) { waiting_for_stored = stored; }

long WaitLimit::milliseconds_left() const {
  const long longest = longest_wait();
  if (longest < 0) return -1;
  const auto waited = std::chrono::steady_clock::now() - begin_;
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(waited).count();
  return std::max<long>(0, longest - static_cast<long>(milliseconds));
}

void WaitLimit::check() const {
  if (milliseconds_left() != 0) return;
  if (waiting_for_stored) {
    ereport(ERROR, (errcode(ERRCODE_LOCK_NOT_AVAILABLE), errmsg("history has not reached the stored moment yet"),
                    errhint("Try again, or see strata.status().")));
  }
  const XLogRecPtr reached = shared_store->visible_lsn();
  ereport(ERROR,
          (errcode(ERRCODE_LOCK_NOT_AVAILABLE), errmsg("canceling the wait for history due to lock timeout"),
           errdetail("History has reached LSN %X/%X.", LSN_FORMAT_ARGS(reached)),
           errhint("Travel to a moment that history has reached, or raise \"lock_timeout\"; strata.status() shows how "
                   "history gets on.")));
}

void wait_for_visible(XLogRecPtr lsn) {
  if (shared_store->visible_lsn() >= lsn) return;
  const WaitLimit limit;
  XLogFlush(lsn);

  ConditionVariablePrepareToSleep(&shared_state->progress);
  bool warned = false;
  // Who is told of by awaited_lsn is on the list of `progress` already, and looks at visible_lsn after that:
  // wake_waiters() raises, looks, and wakes in the opposite order.
  for (await(lsn); shared_store->visible_lsn() < lsn; await(lsn)) {
    if (history_state() == HistoryState::kStopped) raise_stopped();
    wake_ingest();
    warn_if_held_up(warned);
    limit.check();
    const long left = limit.milliseconds_left();
    ConditionVariableTimedSleep(&shared_state->progress, left < 0 ? kSleep : std::clamp(left, 1L, kSleep),
                                wait_event(Wait::kIngestProgress));
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
