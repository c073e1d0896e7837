// The query that reads a table of the past as the row type of another moment has it.
#pragma once

#include "travellers/request.h"

namespace strata::travellers {

// Looks the table up by OID, then by name. Columns are found by name: one that was not there yet is null, one of
// another type is cast as an assignment would. Raises an ERROR that names the table that was not there, or the column
// that cannot be cast. REQUIRES: a transaction at the moment of the table.
Query query_of_table(const Table& table);

}  // namespace strata::travellers
