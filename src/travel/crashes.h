// Transactions that a crash ended: no record says so, and the commit log shows them as if they still ran.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/transam.h"
}

namespace strata::travel {

// Whether a transaction that the commit log of the session's moment shows as in progress had been ended by a crash.
// REQUIRES: the session travels; xid precedes the moment's next one; the moment's counters do not say surely_ended().
bool ended_by_crash(TransactionId xid);

}  // namespace strata::travel
