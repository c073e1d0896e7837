// Snapshots and transaction statuses of a travelling session.
extern "C" {
#include "seams_includes.h"

#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/snapmgr.h"

#include "seams.h"
}

#include "travel/crashes.h"
#include "travel/history.h"
#include "travel/session.h"
#include "travel/transactions.h"

namespace strata::travel {

namespace {

TransactionId current_next_xid() {
  return XidFromFullTransactionId(FullTransactionIdFromU64(current_moment().counters.next_xid));
}

// Nothing that this session reads can be vacuumed away: its xmin must hold back nobody. The flag lasts until the end
// of the transaction.
void hold_back_no_vacuum() {
  if ((MyProc->statusFlags & PROC_IN_VACUUM) != 0) return;
  LWLockAcquire(ProcArrayLock, LW_EXCLUSIVE);
  MyProc->statusFlags |= PROC_IN_VACUUM;
  ProcGlobal->statusFlags[MyProc->pgxactoff] = MyProc->statusFlags;
  LWLockRelease(ProcArrayLock);
}

Snapshot get_snapshot_data(Snapshot snapshot) {
  hold_back_no_vacuum();
  // The present's snapshot gives MyProc->xmin a value of the present, which no historical xmin then replaces. It is
  // made anew: one that was taken before the session left the present had other rules (it counted running
  // transactions).
  snapshot->snapXactCompletionCount = 0;
  show_counters_of_present();
  strata_real_GetSnapshotData(snapshot);
  show_counters_of_moment();
  snapshot->xmax = current_next_xid();
  // While old transactions run, a recent moment's xmax may be newer than MyProc->xmin: snapmgr.c would then move that
  // one forward. An older xmin means the same, as xids between the two are looked up in the commit log.
  snapshot->xmin = TransactionIdPrecedes(TransactionXmin, snapshot->xmax) ? TransactionXmin : snapshot->xmax;
  snapshot->xcnt = 0;
  snapshot->subxcnt = 0;
  snapshot->suboverflowed = false;
  snapshot->takenDuringRecovery = false;
  // Never to be taken for a snapshot of the present that is still good.
  snapshot->snapXactCompletionCount = 0;
  return snapshot;
}

// A snapshot hides transactions; only at its own moment are the pages those that it was taken of.
bool install_imported_xmin(TransactionId, VirtualTransactionId* source) {
  if (published_moment(source->procNumber).lsn == current_moment().lsn) return true;
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("cannot import a snapshot of another moment while travelling in time"), explain_travel()));
  pg_unreachable();
}

bool install_restored_xmin(TransactionId, PGPROC*) {
  hold_back_no_vacuum();
  return true;
}

bool transaction_id_did_commit(TransactionId xid) { return xid_committed_at(xid, current_moment().lsn); }

bool transaction_id_did_abort(TransactionId xid) {
  if (!TransactionIdIsNormal(xid)) return xid == InvalidTransactionId;
  return xid_status_at(xid, current_moment().lsn) == TRANSACTION_STATUS_ABORTED;
}

// Asked for each tuple, also for one whose hint bits say that its transaction has committed.
bool transaction_id_is_in_progress(TransactionId xid) {
  if (!TransactionIdIsNormal(xid) || !TransactionIdPrecedes(xid, current_next_xid())) return false;
  // That needs no look into the commit log.
  if (current_moment().counters.surely_ended(xid)) return false;
  return xid_status_at(xid, current_moment().lsn) == TRANSACTION_STATUS_IN_PROGRESS && !ended_by_crash(xid);
}

// A snapshot of the moment lists no running transactions. To leave them to the commit log alone would give the same
// rows, but PostgreSQL then marks them as aborted in the buffer, where others (pgrowlocks, pgstattuple) would see it.
bool xid_in_mvcc_snapshot(TransactionId xid, Snapshot snapshot) {
  return strata_real_XidInMVCCSnapshot(xid, snapshot) || transaction_id_is_in_progress(xid);
}

// Whatever had committed at the moment is on disk.
XLogRecPtr transaction_id_get_commit_lsn(TransactionId) { return InvalidXLogRecPtr; }

int get_multixact_id_members(MultiXactId multi, MultiXactMember** members, bool from_pgupgrade, bool) {
  *members = nullptr;
  if (!MultiXactIdIsValid(multi) || from_pgupgrade) return -1;
  const int count = multixact_members_at(multi, current_moment().lsn, members);
  return count > 0 ? count : -1;
}

bool multixact_id_is_running(MultiXactId multi, bool is_lock_only) {
  MultiXactMember* members = nullptr;
  const int count = get_multixact_id_members(multi, &members, false, is_lock_only);
  bool running = false;
  for (int i = 0; i < count && !running; i++) running = transaction_id_is_in_progress(members[i].xid);
  if (members != nullptr) pfree(members);
  return running;
}

}  // namespace

void install_visibility_seams(bool travel) {
  strata_seams.GetSnapshotData = travel ? get_snapshot_data : nullptr;
  strata_seams.ProcArrayInstallImportedXmin = travel ? install_imported_xmin : nullptr;
  strata_seams.ProcArrayInstallRestoredXmin = travel ? install_restored_xmin : nullptr;
  strata_seams.TransactionIdDidCommit = travel ? transaction_id_did_commit : nullptr;
  strata_seams.TransactionIdDidAbort = travel ? transaction_id_did_abort : nullptr;
  strata_seams.TransactionIdIsInProgress = travel ? transaction_id_is_in_progress : nullptr;
  strata_seams.XidInMVCCSnapshot = travel ? xid_in_mvcc_snapshot : nullptr;
  strata_seams.TransactionIdGetCommitLSN = travel ? transaction_id_get_commit_lsn : nullptr;
  strata_seams.GetMultiXactIdMembers = travel ? get_multixact_id_members : nullptr;
  strata_seams.MultiXactIdIsRunning = travel ? multixact_id_is_running : nullptr;
}

}  // namespace strata::travel
