// The reader of the store that each process has for itself.
#pragma once

#include "store/store.h"

namespace strata::pg {

// Opened at first use, closed before the process leaves shared memory. Raises an ERROR where the store cannot be
// opened.
Reader& store_reader();

}  // namespace strata::pg
