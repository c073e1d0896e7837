// Transactions and multixacts as they were at an LSN. The commit log at an LSN is the snapshot: it says "committed" of
// exactly what had committed by then; what was running then reads as not committed.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/clog.h"
#include "access/multixact.h"
#include "access/xlogdefs.h"
}

namespace strata::travel {

// TRANSACTION_STATUS_IN_PROGRESS, _COMMITTED or _ABORTED. REQUIRES: a normal xid.
XidStatus xid_status_at(TransactionId xid, XLogRecPtr at);

// As xid_status_at, and right for the permanent xids too.
bool xid_committed_at(TransactionId xid, XLogRecPtr at);

// The members of a multixact, palloc'd; 0 and *members unset if it had none. Raises an ERROR if it is unknown at `at`.
int multixact_members_at(MultiXactId multi, XLogRecPtr at, MultiXactMember** members);

// The member that updates or deletes; InvalidTransactionId where all of them only lock. The same ERROR.
TransactionId updater_at(MultiXactId multi, XLogRecPtr at);

}  // namespace strata::travel
