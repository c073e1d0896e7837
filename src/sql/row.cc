#include "sql/row.h"

extern "C" {
#include "access/htup_details.h"
#include "funcapi.h"
}

namespace strata::sql {

Datum row(FunctionCallInfo fcinfo, const Datum* values, const bool* nulls) {
  TupleDesc descriptor = nullptr;
  if (get_call_result_type(fcinfo, nullptr, &descriptor) != TYPEFUNC_COMPOSITE)
    elog(ERROR, "return type must be a row type");
  const bool no_nulls[MaxTupleAttributeNumber] = {};
  return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls != nullptr ? nulls : no_nulls));
}

}  // namespace strata::sql
