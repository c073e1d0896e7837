// The files that a table had within a window of history: TRUNCATE, VACUUM FULL, CLUSTER and some forms of ALTER TABLE
// give it a new one, CREATE its first, and DROP takes its last.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "storage/relfilelocator.h"
}

#include "versions/row_walk.h"
#include "versions/transaction_ends.h"

namespace strata::versions {

// A file, and when it was the table's.
struct FileSpan {
  RelFileLocator locator;
  XLogRecPtr begin;     // the end of the commit that gave it to the table; invalid: it had it when the window began
  XLogRecPtr to;        // where the table went on to another file, or was dropped: just before that commit's end
  TransactionEnd next;  // that commit; kNot: the window ended
};

// In order of time; none where no row of the table in pg_class changed within the window: then it has one file
// throughout, or does not exist; the same for a mapped catalog. In the current memory context.
// Raises an ERROR where the session's database lay in another tablespace meanwhile.
int file_spans(Oid relation, XLogRecPtr from, XLogRecPtr to, FileSpan** spans);

struct Catalog {
  Oid oid;
  bool shared;
};

// walk_rows() over each of the files that a catalog had within the window of `walk`; its locator, begin and continues
// are set here. `tablespace`: where the session's database lay throughout; ignored for a shared catalog.
void walk_catalog(const Catalog& catalog, Oid tablespace, RowWalk walk);

// Whether a column of the table changed by the transaction whose commit ended at `lsn` in the window: what ALTER TABLE
// does beside a rewrite, and TRUNCATE does not.
bool columns_changed_at(Oid relation, XLogRecPtr lsn, XLogRecPtr from);

}  // namespace strata::versions
