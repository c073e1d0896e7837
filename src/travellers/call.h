// One call: a request at a moment, and its rows one after the other.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/tupdesc.h"
#include "access/xlogdefs.h"
#include "lib/stringinfo.h"
}

#include "travellers/columns.h"

namespace strata::travellers {

struct Call;

// Sends a request and waits for its columns. Errors and notices of the traveller are raised here and in next_row(), as
// if they came from this process. The call belongs to the current resource owner, which ends it after an ERROR.
// `expected` as in plan_rows().
Call* begin_call(XLogRecPtr lsn, StringInfo request, TupleDesc expected);

// The same for one query, `count` parameters of which are as in put_query().
Call* begin_query_call(XLogRecPtr lsn, const char* query, int count, const Datum* values, const Oid* types,
                       const bool* nulls, TupleDesc expected);

// False after the last row. The values stand until the next call of this function.
bool next_row(Call* call, Datum* values, bool* nulls);

// The row type of the values.
TupleDesc row_type(const Call* call);

// Ends it, before its last row or after.
void end_call(Call* call);

}  // namespace strata::travellers
