// The moments that functions take, and the right to send a traveller there.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
}

namespace strata::travellers {

// Each returns the LSN of the moment, and raises an ERROR where it cannot be reached, where strata is off, or where the
// current role has no right to travel so.
XLogRecPtr moment_at_time(TimestampTz time);
XLogRecPtr moment_at_lsn(XLogRecPtr lsn);
// A time in the forms that strata.travel_time takes, or an LSN.
XLogRecPtr moment_in_words(const char* words);

}  // namespace strata::travellers
