// The rows of a catalog as of an LSN other than the session's own moment, without any catalog cache: from the pages of
// history, by the commit log as of that LSN.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/htup.h"
#include "access/xlogdefs.h"
}

namespace strata::travel {

// Calls visit(row, context) for each row of a mapped catalog that was visible to a transaction that began at `at`,
// until it returns false. `tablespace`: of the session's database at `at`; ignored for a shared catalog. The row is
// good for the call only, and what it keeps out of line cannot be read. Raises an ERROR where history cannot answer.
// REQUIRES: ingest has reached `at`.
void scan_catalog_at(Oid catalog, bool shared, Oid tablespace, XLogRecPtr at,
                     bool (*visit)(HeapTuple row, void* context), void* context);

}  // namespace strata::travel
