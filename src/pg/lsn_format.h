// LSNs in messages: PostgreSQL's LSN_FORMAT_ARGS checks its argument's type in a way that C++ does not know.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
}

#include <cstdio>
#include <string>

#undef LSN_FORMAT_ARGS
// The two arguments of "%X/%X".
#define LSN_FORMAT_ARGS(lsn) static_cast<uint32>((lsn) >> 32), static_cast<uint32>(lsn)

namespace strata::pg {

inline std::string lsn_text(XLogRecPtr lsn) {
  char text[32];
  snprintf(text, sizeof(text), "%X/%X", LSN_FORMAT_ARGS(lsn));
  return text;
}

}  // namespace strata::pg
