// The transactions that ended within a window, in order.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/transam.h"
#include "access/xlogdefs.h"
}

namespace strata::travellers {

struct Ended {
  XLogRecPtr lsn;     // the end of its commit or abort record
  TransactionId xid;  // the top-level transaction
  bool committed;
};

// Those whose records end in (from, to], in order of their ends, palloc'd. Returns how many there are.
int transactions_ended(XLogRecPtr from, XLogRecPtr to, Ended** ended);

}  // namespace strata::travellers
