// Are two pages the same, but for what WAL does not carry?
#pragma once

extern "C" {
#include "postgres.h"

#include "access/rmgr.h"
#include "common/relpath.h"
#include "storage/block.h"
#include "utils/relcache.h"
}

namespace strata::sql {

// The resource manager whose mask hides, on this relation's pages, what may differ after recovery.
RmgrId mask_of(Relation rel);

// Compares a page of the present with its rebuilt twin. Both are BLCKSZ bytes and are changed by masking.
// Returns -1 where they are equal, else the offset of the first byte that differs. A page that never reached WAL
// (all zeroes, or initialised and empty without an LSN) equals all zeroes. A page of the visibility map may lack bits.
int first_difference(RmgrId rmgr, ForkNumber fork, BlockNumber block, char* present, char* rebuilt);

}  // namespace strata::sql
