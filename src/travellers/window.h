// The two moments that some of the SQL functions take.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "fmgr.h"
}

namespace strata::travellers {

struct Window {
  XLogRecPtr from;
  XLogRecPtr to;
};

// From the arguments `first` and `first` + 1, each a timestamptz, a pg_lsn or text. The second may be null: where the
// session is. Raises an ERROR where a moment cannot be reached, or the first lies after the last.
Window window_of(FunctionCallInfo fcinfo, int first);

}  // namespace strata::travellers
