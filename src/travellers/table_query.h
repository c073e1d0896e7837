// The query that reads a table of the past as the row type of another moment has it.
#pragma once

#include "travellers/request.h"

namespace strata::travellers {

// Looks the table up by OID, then by name. Columns are found by name: one that was not there yet is null, one of
// another type is cast as an assignment would. Raises an ERROR that names the table that was not there, or the column
// that cannot be cast. REQUIRES: a transaction at the moment of the table.
Query query_of_table(const Table& table);

// The two parts of it: the table, by OID and then by name; and the wanted columns in terms of a relation `r` that has
// the table's.
Oid find_table(const Table& table);
void append_columns(StringInfo out, Oid relation, const Table& table);

}  // namespace strata::travellers
