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

// Hides on a page of PostgreSQL's what may differ between two servers that have replayed the same WAL: what the
// resource manager's mask hides. A page without a sane header (new, or not of the standard layout) stays as it is, and
// so does a page of the visibility map but for its header: the mask would hide its bits.
void mask_page(RmgrId rmgr, ForkNumber fork, BlockNumber block, char* page);

// Gives a page the marks that redo leaves on its rebuilt twin and the server that wrote the page did not set: redo of a
// deletion from a GiST page marks the page, where the deletion of dead items by an insertion does not, and nothing ever
// reads the mark. A mark that the twin lacks still counts.
void add_marks_of_redo(RmgrId rmgr, char* page, const char* rebuilt);

// Compares a page of the present with its rebuilt twin. Both are BLCKSZ bytes and are changed by masking.
// Returns -1 where they are equal, else the offset of the first byte that differs. A page that never reached WAL
// (all zeroes, or initialised and empty without an LSN) equals all zeroes. A page of the visibility map may lack bits.
int first_difference(RmgrId rmgr, ForkNumber fork, BlockNumber block, char* present, char* rebuilt);

}  // namespace strata::sql
