// Digests as SQL functions return them.
#pragma once

extern "C" {
#include "postgres.h"

#include "utils/builtins.h"
}

namespace strata::sql {

inline Datum digest_text(uint64 digest) {
  return CStringGetTextDatum(psprintf("%016llx", static_cast<unsigned long long>(digest)));
}

}  // namespace strata::sql
