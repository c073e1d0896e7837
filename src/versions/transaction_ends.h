// Which transactions committed within a window of history, where, and as part of which top-level transaction.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/transam.h"
#include "access/xlogdefs.h"
}

namespace strata::versions {

enum class Committed {
  kNot,     // not by the window's end: aborted, running, or never begun
  kBefore,  // at or before the window's begin
  kWithin,
};

struct TransactionEnd {
  Committed committed = Committed::kNot;
  XLogRecPtr lsn = InvalidXLogRecPtr;        // kWithin: the end of the commit record
  TransactionId top = InvalidTransactionId;  // kWithin: the top-level transaction
};

struct TransactionEnds;

// For the window (from, to]. In the current memory context, where all of it stays: about a megabyte for 32,768
// transactions, as many of them as the window's rows name, 64 megabytes at most.
TransactionEnds* open_transaction_ends(XLogRecPtr from, XLogRecPtr to);

// How a transaction or subtransaction ended.
TransactionEnd end_of(TransactionEnds* ends, TransactionId xid);

}  // namespace strata::versions
