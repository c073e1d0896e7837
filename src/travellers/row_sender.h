// Sends the rows of a query to the session.
#pragma once

extern "C" {
#include "postgres.h"

#include "tcop/dest.h"
}

namespace strata::travellers {

// In the current memory context. Sends kColumns before the first row, and stops the query when the session wants no
// more.
DestReceiver* make_row_sender();

}  // namespace strata::travellers
