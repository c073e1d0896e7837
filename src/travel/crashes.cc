#include "travel/crashes.h"

extern "C" {
#include "seams_includes.h"

#include "access/twophase.h"
#include "storage/lwlock.h"
#include "storage/proc.h"

#include "seams.h"
}

#include "pg/shared_state.h"
#include "travel/counters.h"
#include "travel/session.h"
#include "travel/transactions.h"

namespace strata::travel {

namespace {

// Whether a transaction is prepared in the present. Also true where one is that has so many subtransactions that
// PostgreSQL does not list them: it may be the parent. (The next checkpoint knows.)
bool is_prepared_now(TransactionId xid) {
  bool found = false;
  LWLockAcquire(ProcArrayLock, LW_SHARED);
  for (int i = 0; i < max_prepared_xacts && !found; i++) {
    const PGPROC& prepared = PreparedXactProcs[i];
    if (!TransactionIdIsValid(prepared.xid)) continue;
    found = prepared.xid == xid || (prepared.subxidStatus.overflowed && TransactionIdPrecedes(prepared.xid, xid));
    for (int k = 0; k < prepared.subxidStatus.count && !found; k++) found = prepared.subxids.xids[k] == xid;
  }
  LWLockRelease(ProcArrayLock);
  return found;
}

// Whether the present's commit log says that a transaction has ended, or does not reach back to it any more.
bool has_ended_by_now(TransactionId xid) {
  show_counters_of_present();
  const TransactionId oldest = TransamVariables->oldestClogXid;
  show_counters_of_moment();
  return TransactionIdPrecedes(xid, oldest) || strata_real_TransactionIdDidCommit(xid) ||
         strata_real_TransactionIdDidAbort(xid);
}

// Of a transaction from before a start of the server, when only prepared ones were left: it was prepared if it is so
// still or has ended later.
bool was_not_prepared(TransactionId xid) {
  if (is_prepared_now(xid)) return false;
  const XLogRecPtr end = pg::shared_store->visible_lsn();
  if (xid_status_at(xid, end) != TRANSACTION_STATUS_IN_PROGRESS) return false;
  if (counters_at(end).surely_ended(xid)) return true;
  // It may have ended where history has not come to yet.
  return !has_ended_by_now(xid);
}

// Of the moment that was asked for last.
struct LastStart {
  XLogRecPtr lsn = InvalidXLogRecPtr;
  TransactionId next_xid = InvalidTransactionId;
};
LastStart last_start;

bool began_before_last_start(TransactionId xid) {
  const XLogRecPtr lsn = current_moment().lsn;
  if (last_start.lsn != lsn) {
    last_start.lsn = InvalidXLogRecPtr;
    last_start.next_xid = next_xid_at_last_start(lsn);
    last_start.lsn = lsn;
  }
  return TransactionIdIsValid(last_start.next_xid) && TransactionIdPrecedes(xid, last_start.next_xid);
}

// The rows of one transaction come one after another.
struct LastAnswer {
  XLogRecPtr lsn = InvalidXLogRecPtr;
  TransactionId xid = InvalidTransactionId;
  bool crashed = false;
};
LastAnswer last;

}  // namespace

bool ended_by_crash(TransactionId xid) {
  const XLogRecPtr lsn = current_moment().lsn;
  if (last.lsn != lsn || last.xid != xid) {
    last.lsn = InvalidXLogRecPtr;
    last.crashed = began_before_last_start(xid) && was_not_prepared(xid);
    last.xid = xid;
    last.lsn = lsn;
  }
  return last.crashed;
}

}  // namespace strata::travel
