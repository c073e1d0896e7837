// The one row that a function of the extension returns.
#pragma once

extern "C" {
#include "postgres.h"

#include "fmgr.h"
}

namespace strata::sql {

// A row of the function's result type. `nulls` may be null: then no value is.
Datum row(FunctionCallInfo fcinfo, const Datum* values, const bool* nulls = nullptr);

}  // namespace strata::sql
