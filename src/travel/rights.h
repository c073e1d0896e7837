// Rights that more than one file asks for.
#pragma once

extern "C" {
#include "postgres.h"
}

namespace strata::travel {

// Whether a role was a superuser at the moment and is one in the present, in a session that left the present as one.
// REQUIRES: the session travels, and is in a transaction.
bool superuser_then_and_now(Oid role);

}  // namespace strata::travel
