// The cluster's counters of transactions and multixacts at an LSN, and PostgreSQL's variables that hold them.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/transam.h"
#include "access/xlogdefs.h"
}

#include <cstdint>

namespace strata::travel {

// As recovery to the LSN would leave them. The oldest ones are those of the last checkpoint: nothing older was needed
// at the LSN either.
struct Counters {
  std::uint64_t next_xid = 0;  // a FullTransactionId
  TransactionId oldest_xid = InvalidTransactionId;
  MultiXactId next_multixact = 0;
  MultiXactId oldest_multixact = 0;
  // The oldest transaction that ran at the last checkpoint. None where that was made by a shutdown or after a crash.
  TransactionId oldest_active_xid = InvalidTransactionId;

  // By the last checkpoint, whichever way: committed, aborted or in a crash. False does not mean that it had not.
  [[nodiscard]] bool surely_ended(TransactionId xid) const {
    return TransactionIdIsValid(oldest_active_xid) && TransactionIdPrecedes(xid, oldest_active_xid);
  }

  friend bool operator==(const Counters&, const Counters&) = default;
};

// Reads the store. REQUIRES: ingest has reached `at`.
Counters counters_at(XLogRecPtr at);

// The next transaction when the server was last shut down, or had recovered from a crash, before `at`: then none ran
// but prepared ones. InvalidTransactionId if history does not reach back so far. REQUIRES: as above.
TransactionId next_xid_at_last_start(XLogRecPtr at);

// Whose counters TransamVariables, a pointer of this process, shows: those of the session's moment, or the present's
// even while it travels.
void show_counters_of_moment();
void show_counters_of_present();

}  // namespace strata::travel
