// Rows of a catalog that were deleted, found by a walk over its row versions: dropped objects.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/transam.h"
#include "access/xlogdefs.h"
}

#include "versions/files.h"

namespace strata::versions {

struct EndedRow {
  Oid oid;
  NameData name;
  FullTransactionId xid;  // the top-level transaction whose commit ended it
  XLogRecPtr lsn;         // the end of that commit: the row was there just before
};

// The rows that a commit in (since, until] deleted, in no particular order; those of one name only where `name` is not
// null. `catalog`: one whose rows begin with an OID and a name. *rows is palloc'd. A row that was updated has not
// ended. Costs the versions that the catalog's pages have there. For catalogs that are not shared: of the session's
// database, not before it was created. REQUIRES: the session is in the present, ingest has reached `until`, and `since`
// is not below the horizon.
int ended_rows(const Catalog& catalog, XLogRecPtr since, XLogRecPtr until, const char* name, EndedRow** rows);

}  // namespace strata::versions
