#include "travel/resolve.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include "pg/lsn_format.h"
#include "pg/guard.h"
#include "pg/ingest_wait.h"
#include "pg/shared_state.h"
#include "pg/store_reader.h"
#include "pg/wait_events.h"
#include "pg/wal_end.h"
#include "store/store.h"
#include "store/time_marks.h"
#include "travel/read_meter.h"
#include "travel/session.h"
#include "travel/lsn_lease.h"

extern "C" {
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

namespace strata::travel {

namespace {

constexpr int kSnapshotTooOld = MAKE_SQLSTATE('7', '2', '0', '0', '0');

// What the time index says of a time.
struct EndsAround {
  bool has_later = false;                 // whether a commit or abort with a later timestamp has been ingested
  XLogRecPtr later = InvalidXLogRecPtr;   // the start of the first such record
  XLogRecPtr before = InvalidXLogRecPtr;  // the end of the last commit or abort before it, or before `newest`
};

// REQUIRES: without a later one, ingest has reached `newest`.
EndsAround ends_around(TimestampTz time, XLogRecPtr newest) {
  Reader& reader = pg::store_reader();
  EndsAround result;
  pg::guarded([&] {
    const ReadMeter meter(reader, KeyKind::kTimeMark);
    const Key last = time_mark_key(std::numeric_limits<TimestampTz>::max());
    const auto mark = time == std::numeric_limits<TimestampTz>::max()
                          ? std::nullopt
                          : reader.first_mark_in(time_mark_key(time + 1), last);
    result.later = newest;
    if (mark) {
      result.has_later = true;
      if (mark->second.value.size() != sizeof(result.later)) {
        throw StoreError(ErrorKind::kCorrupt, "a time mark has a wrong size");
      }
      std::memcpy(&result.later, mark->second.value.data(), sizeof(result.later));
    }
    if (result.later == InvalidXLogRecPtr) return;
    result.before = last_transaction_end(reader, newest_mark_by_lsn(reader, result.later), result.later);
  });
  return result;
}

// Whether the worker has just begun, and has not opened the store yet. On a standby it does not begin.
bool history_is_starting() {
  if (pg::history_state() != pg::HistoryState::kStarting || RecoveryInProgress()) return false;
  return pg::history_error().error[0] == '\0';
}

// For a session that comes a moment after the server's start: it is not told that there is no history.
void wait_for_start() {
  constexpr int kSleeps = 250;
  constexpr long kSleep = 20;  // milliseconds
  if (!history_is_starting()) return;
  const pg::WaitLimit limit;
  ConditionVariablePrepareToSleep(&pg::shared_state->progress);
  for (int i = 0; i < kSleeps && history_is_starting(); i++) {
    limit.check();
    ConditionVariableTimedSleep(&pg::shared_state->progress, kSleep, pg::wait_event(pg::Wait::kIngestProgress));
  }
  ConditionVariableCancelSleep();
}

Horizon published_horizon() {
  SpinLockAcquire(&pg::shared_state->mutex);
  const Horizon horizon = pg::shared_state->horizon;
  SpinLockRelease(&pg::shared_state->mutex);
  return horizon;
}

// What history can be reached; raises an ERROR when there is none.
Horizon require_history() {
  Horizon horizon = published_horizon();
  if (horizon.lsn != kInvalidLsn) return horizon;
  wait_for_start();
  horizon = published_horizon();
  if (horizon.lsn != kInvalidLsn) return horizon;
  SpinLockAcquire(&pg::shared_state->mutex);
  const pg::HistoryState state = pg::shared_state->state;
  const uint64 done = pg::shared_state->baseline_blocks_done;
  const uint64 total = pg::shared_state->baseline_blocks_total;
  SpinLockRelease(&pg::shared_state->mutex);
  const pg::HistoryError last = pg::history_error();
  const char* error = last.error;
  const char* hint = last.hint;
  if (state == pg::HistoryState::kStopped) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("there is no history to travel in"),
                    errdetail_internal("%s", error), hint[0] != '\0' ? errhint("%s", hint) : 0));
  }
  if (error[0] != '\0') {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("history has not begun yet"),
                    errdetail_internal("%s", error), hint[0] != '\0' ? errhint("%s", hint) : 0));
  }
  ereport(
      ERROR,
      (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("history has not begun yet"),
       error[0] != '\0' ? errdetail_internal("%s", error)
                        : errdetail("The baseline is being taken: %llu of %llu blocks.",
                                    static_cast<unsigned long long>(done), static_cast<unsigned long long>(total)),
       errhint("Any moment after the baseline is complete can be travelled to; strata.status() shows its progress.")));
  pg_unreachable();
}

// timestamptz_to_str has one static buffer; an error message needs several.
const char* printed(TimestampTz time) { return pstrdup(timestamptz_to_str(time)); }

[[noreturn]] void raise_out_of_range(TimestampTz time, const char* reason, const Horizon& horizon) {
  ereport(ERROR,
          (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("cannot travel to %s: %s", printed(time), reason),
           errdetail("Moments from %s to %s can be reached.", printed(horizon.time), printed(GetCurrentTimestamp()))));
  pg_unreachable();
}

[[noreturn]] void raise_out_of_range(XLogRecPtr lsn, const char* reason, const Horizon& horizon, XLogRecPtr newest) {
  ereport(
      ERROR,
      (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("cannot travel to LSN %X/%X: %s", LSN_FORMAT_ARGS(lsn), reason),
       errdetail("LSNs from %X/%X to %X/%X can be reached.", LSN_FORMAT_ARGS(horizon.lsn), LSN_FORMAT_ARGS(newest))));
  pg_unreachable();
}

// A commit takes its timestamp before it inserts its record. Waits until every commit that may have taken one not later
// than now has inserted it.
void wait_for_commits_under_way() {
  int count = 0;
  const pg::WaitLimit limit;
  VirtualTransactionId* commits = GetVirtualXIDsDelayingChkpt(&count, DELAY_CHKPT_START);
  while (count > 0 && HaveVirtualXIDsDelayingChkpt(commits, count, DELAY_CHKPT_START)) {
    CHECK_FOR_INTERRUPTS();
    limit.check();
    pgstat_report_wait_start(pg::wait_event(pg::Wait::kCommitsUnderWay));
    pg_usleep(1000);
    pgstat_report_wait_end();
  }
  pfree(commits);
}

// Times go by timestamps, which say less than WAL does while the clock repeats itself.
void tell_that_clock_is_behind(XLogRecPtr lsn) {
  const TimestampTz until = clock_is_behind_until();
  static LocalTransactionId told_in = InvalidLocalTransactionId;
  if (until == 0 || (MyProc->vxid.lxid == told_in && told_in != InvalidLocalTransactionId)) return;
  told_in = MyProc->vxid.lxid;
  ereport(WARNING,
          (errmsg("the clock of the server has been set back"),
           errdetail("A transaction ended at %s, which is later than now. The time stands for LSN %X/%X, before "
                     "the first transaction with a later timestamp; what came after that is not seen.",
                     printed(until), LSN_FORMAT_ARGS(lsn)),
           errhint("Set \"strata.travel_lsn\", which reaches everything.")));
}

}  // namespace

TimestampTz clock_is_behind_until() {
  const TimestampTz now = GetCurrentTimestamp();
  TimestampTz newest = 0;
  Reader& reader = pg::store_reader();
  pg::guarded([&] {
    const ReadMeter meter(reader, KeyKind::kTimeMark);
    if (const auto mark = newest_mark_by_time(reader, std::numeric_limits<TimestampTz>::max())) newest = mark->time;
  });
  return newest > now ? newest : 0;
}

XLogRecPtr resolve_time(TimestampTz time) {
  const Horizon horizon = require_history();
  if (time > GetCurrentTimestamp()) raise_out_of_range(time, "it is in the future", horizon);
  if (time < horizon.time) raise_out_of_range(time, "history does not reach back that far", horizon);

  EndsAround ends = ends_around(time, InvalidXLogRecPtr);
  if (!ends.has_later) {
    wait_for_commits_under_way();
    const XLogRecPtr newest = GetXLogInsertEndRecPtr();
    pg::wait_for_visible(newest);
    ends = ends_around(time, newest);
  }
  // Marks are taken away after the horizon has passed them: where it has not passed this time now, none was missing.
  const Horizon later = require_history();
  if (time < later.time || ends.later < later.lsn) {
    raise_out_of_range(time, "history does not reach back that far", later);
  }
  tell_that_clock_is_behind(std::max<XLogRecPtr>(ends.before, later.lsn));
  // Before the first commit of history its moment is the beginning of history: the rows are the same.
  return std::max<XLogRecPtr>(ends.before, later.lsn);
}

XLogRecPtr resolve_lsn(XLogRecPtr lsn) {
  const Horizon horizon = require_history();
  const std::optional<XLogRecPtr> inserted = pg::inserted_lsn(lsn);
  const XLogRecPtr newest = GetXLogInsertEndRecPtr();
  if (!inserted) raise_out_of_range(lsn, "no WAL has been written there yet", horizon, newest);
  if (*inserted < horizon.lsn) raise_out_of_range(lsn, "history does not reach back that far", horizon, newest);
  pg::wait_for_visible(*inserted);
  return *inserted;
}

bool try_lease_lsn(XLogRecPtr lsn) {
  announce_lease(lsn);
  SpinLockAcquire(&pg::shared_state->mutex);
  const Lsn horizon = pg::shared_state->horizon.lsn;
  SpinLockRelease(&pg::shared_state->mutex);
  if (horizon != kInvalidLsn && lsn >= horizon) return true;
  withdraw_announcement();
  return false;
}

void lease_lsn(XLogRecPtr lsn) {
  if (try_lease_lsn(lsn)) return;
  raise_out_of_range(lsn, "history does not reach back that far", require_history(), GetXLogInsertEndRecPtr());
}

void require_above_gc_cutoff(XLogRecPtr lsn) {
  if (!pg::is_below_gc_cutoff(lsn)) return;
  const Horizon horizon = require_history();
  ereport(ERROR,
          (errcode(kSnapshotTooOld), errmsg("history at LSN %X/%X is gone", LSN_FORMAT_ARGS(lsn)),
           errdetail("It was older than \"strata.retention_time\" or \"strata.retention_size\" allows, and was kept "
                     "for \"strata.max_travel_age\" beyond that. Moments from %s (LSN %X/%X) can be reached.",
                     printed(horizon.time), LSN_FORMAT_ARGS(horizon.lsn)),
           errhint("Travel to a later moment. %s", describe_way_back())));
}

TimestampTz last_commit_at(XLogRecPtr lsn) {
  TimestampTz time = 0;
  Reader& reader = pg::store_reader();
  pg::guarded([&] {
    const ReadMeter meter(reader, KeyKind::kTimeMark);
    if (const auto mark = newest_mark_by_lsn(reader, lsn)) time = mark->time;
  });
  return time;
}

}  // namespace strata::travel
