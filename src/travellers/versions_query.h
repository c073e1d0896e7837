// The query that reads the versions of a table's rows, which a walk over history has collected beforehand.
#pragma once

#include "travellers/request.h"

namespace strata::travellers {

// Collects the versions into a relation that lives as long as the SPI connection, and returns the query that reads it:
// the columns of version_columns(), then those that are wanted. Raises an ERROR where the current role may not read the
// table, or its history cannot tell. REQUIRES: SPI is connected, in a transaction at the moment at which the window of
// `versions` ends.
Query query_of_versions(const Table& table, const Versions& versions, XLogRecPtr to);

}  // namespace strata::travellers
