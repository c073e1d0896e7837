// The columns of an answer, and how they become those that the session's statement expects.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/tupdesc.h"
#include "lib/stringinfo.h"
}

namespace strata::travellers {

// The row type of kRow messages: types that cross as they are, and text.
TupleDesc descriptor_of_answer(int count, const Oid* types, const bool* as_text);

struct ColumnPlan;

// How rows of an answer become rows of the session's.
struct RowPlan {
  TupleDesc answer;  // of kRow messages
  TupleDesc result;  // what the session gets
  int count;         // columns of the answer
  ColumnPlan* columns;
};

// `message`: kColumns without its first byte. `expected`: the row type that the statement wants, whose dropped columns
// stay null; where it is null, the result has the answer's columns. Raises an ERROR (ERRCODE_DATATYPE_MISMATCH) that
// names the column where the two do not fit. In the current memory context.
RowPlan* plan_rows(StringInfo message, TupleDesc expected);

// The types of an answer's columns must be as in a plan made before: an answer to the same request, later.
void convert_row(RowPlan& plan, const Datum* values, const bool* nulls, Datum* result, bool* result_nulls);

}  // namespace strata::travellers
