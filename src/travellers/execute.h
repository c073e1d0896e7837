// One request, carried out in the traveller.
#pragma once

extern "C" {
#include "postgres.h"

#include "lib/stringinfo.h"
}

#include "travellers/request.h"

namespace strata::travellers {

// Runs the query of a request, of which `message` holds what comes after the orders, and sends its rows. Raises an
// ERROR where the query does. REQUIRES: the traveller is at the moment of the orders; no transaction.
void execute(const Orders& orders, StringInfo message);

}  // namespace strata::travellers
