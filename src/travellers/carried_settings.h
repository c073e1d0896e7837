// The session's libraries, settings and roles, as a traveller takes them over.
#pragma once

extern "C" {
#include "postgres.h"

#include "lib/stringinfo.h"
}

namespace strata::travellers {

// Appends this process's. Two sessions, or one at two times, that append the same bytes have the same settings.
void put_settings(StringInfo out);

// Takes them over. REQUIRES: the present, no transaction.
void adopt_settings(const char* settings, int bytes);

}  // namespace strata::travellers
