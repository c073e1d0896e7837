// Rows of a catalog that were deleted, found in the versions of its pages: dropped objects.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/transam.h"
#include "access/xlogdefs.h"
}

namespace strata::travel {

struct EndedRow {
  Oid oid;
  NameData name;
  FullTransactionId xid;  // whose commit ended it; its subtransaction where that deleted the row
  XLogRecPtr lsn;         // the end of that commit: the row was there just before
};

// A catalog whose rows begin with an OID and a name.
struct Catalog {
  Oid oid;
  bool shared;
};

// The rows that a commit in (since, until] deleted, in no particular order; those of one name only where `name` is not
// null. *rows is palloc'd. A row that was updated has not ended. Costs the versions that the catalog's pages have
// there. For catalogs that are not shared: of the session's database, not before it was created. REQUIRES: the session
// is in the present, ingest has reached `until`, and `since` is not below the horizon.
int ended_rows(const Catalog& catalog, XLogRecPtr since, XLogRecPtr until, const char* name, EndedRow** rows);

// The end of the commit or abort record of a transaction that had not ended at `not_ended`; InvalidXLogRecPtr if it had
// not at `until` either.
XLogRecPtr end_of_transaction(FullTransactionId xid, XLogRecPtr not_ended, XLogRecPtr until);

}  // namespace strata::travel
