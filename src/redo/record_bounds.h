// What redo routines take from a record without asking whether it fits.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogreader.h"
}

namespace strata::redo {

// Raises an ERROR when redo of the record would copy from or to memory beyond the page, the record or a tuple. `page`
// is the target as it is before the record. Covers generic records, and inserts and updates of heaps; all others pass.
// REQUIRES: the record will be applied to the target.
void check_record_bounds(const DecodedXLogRecord& record, const char* page);

}  // namespace strata::redo
