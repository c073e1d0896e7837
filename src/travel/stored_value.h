// Values that a table keeps out of line, as of another moment than the session's.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
}

namespace strata::travel {

// A value of a variable-length type as it stood in a row of a table, in memory and not compressed. What the table
// keeps out of line is read from its TOAST table as of `lsn`, when the row was there. Raises an ERROR where it is not
// there any more: the TOAST table has got another file since. REQUIRES: the session travels.
Datum fetch_stored_value(Datum value, XLogRecPtr lsn);

}  // namespace strata::travel
