// What a row version is told with, before the row itself.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/tupdesc.h"
#include "lib/stringinfo.h"
}

namespace strata::travellers {

enum VersionColumn { kOperation, kStartLsn, kStartTime, kEndLsn, kEndTime, kXid, kEndXid, kCtid, kVersionColumns };

// Entries 1 .. kVersionColumns, by names that no column of a user has.
void describe_version_columns(TupleDesc columns);

// Their names in terms of a relation `r`, each followed by a comma.
void append_version_columns(StringInfo out);

}  // namespace strata::travellers
