// What the SQL functions and the scan that takes their place have in common.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/tupdesc.h"
#include "access/xlogdefs.h"
}

#include "travellers/request.h"

namespace strata::travellers {

enum class MomentType { kTime, kLsn, kWords };

// The moment in an argument of this type, as moments.h has it.
XLogRecPtr moment_of(Datum moment, MomentType type);

// The table of a row type, and the columns that it has here. Raises an ERROR where it is the row type of no table.
Table describe_table(Oid row_type_oid, TupleDesc columns);

}  // namespace strata::travellers
