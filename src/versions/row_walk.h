// The walk over a heap's changed blocks: every row version that began or ended within a window of history.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/htup.h"
#include "access/xlogdefs.h"
#include "storage/itemptr.h"
#include "storage/relfilelocator.h"
}

#include "versions/transaction_ends.h"

namespace strata::versions {

// One version of a row, as one transaction left it.
struct RowVersion {
  TransactionEnd start;       // of the transaction that wrote it
  TransactionEnd end;         // of the one that ended it; kNot: it stands at the window's end
  bool updated = false;       // it was written by an UPDATE, as the successor of another version
  bool deleted = false;       // ended by DELETE, or by an UPDATE that moved the row to another partition
  ItemPointerData next = {};  // ended by UPDATE: where its successor was written
  XLogRecPtr seen =
      InvalidXLogRecPtr;      // an LSN at which it was on its page, and what it keeps out of line in its table
  HeapTuple tuple = nullptr;  // good for the call only
};

struct RowWalk {
  RelFileLocator locator;
  XLogRecPtr from = InvalidXLogRecPtr;
  XLogRecPtr to = InvalidXLogRecPtr;
  // Of several files that the table had one after the other, each is walked from the window's begin on.
  XLogRecPtr begin = InvalidXLogRecPtr;  // a copy of a version that had ended by then is of the file before
  bool continues = false;                // what stands at `to` was copied to the next file, and belongs there
  TransactionEnds* ends = nullptr;       // of a window that begins at `from` and ends at or after `to`
  bool all = false;                      // versions that stood throughout, too: every block is looked at
  // Which rows are looked at; null: all. What it says of a row must hold as long as the row's values do.
  bool (*wanted)(HeapTuple tuple, void* context) = nullptr;
  void (*visit)(const RowVersion& version, void* context) = nullptr;
  void* context = nullptr;
};

// Calls visit() for each version of a row that began or ended in (from, to] by a transaction that committed by `to`:
// what stood unchanged throughout is left out, so that the cost goes with the pages that changed. A row lock is no
// version, nor is what VACUUM does. Blocks come in ascending order, the versions of one block in no particular order.
// Interrupts are served.
void walk_rows(const RowWalk& walk);

}  // namespace strata::versions
