#include "travellers/columns.h"

extern "C" {
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
}

#include <cstring>

#include "travellers/values.h"

namespace strata::travellers {

namespace {

// As the traveller describes it.
struct AnswerColumn {
  const char* name;
  Oid type;
  Oid base_type;  // under a domain; else the type
  int32 modifier;
  const char* type_name;
  bool as_text;
};

AnswerColumn take_column(StringInfo message) {
  AnswerColumn column = {};
  column.name = pq_getmsgrawstring(message);
  column.type = pq_getmsgint(message, 4);
  column.base_type = pq_getmsgint(message, 4);
  column.modifier = static_cast<int32>(pq_getmsgint(message, 4));
  column.type_name = pq_getmsgrawstring(message);
  column.as_text = pq_getmsgbyte(message) != 0;
  return column;
}

bool is_text(Oid type) { return type == TEXTOID || type == VARCHAROID || type == BPCHAROID; }

}  // namespace

struct ColumnPlan {
  enum class Way : char { kAsItIs, kFromText, kPrintAndRead };
  Way way;
  int to;  // index into the result
  Oid from_type;
  FmgrInfo output;
  FmgrInfo input;
  Oid input_parameter;
  int32 modifier;
  const char* name;
};

namespace {

const char* shown_name(const char* type_name) {
  constexpr const char* kOwn = "pg_catalog.";
  return std::strncmp(type_name, kOwn, std::strlen(kOwn)) == 0 ? type_name + std::strlen(kOwn) : type_name;
}

[[noreturn]] void raise_mismatch(int number, const AnswerColumn& column, Oid expected) {
  ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                  errmsg("column %d (\"%s\") of the query has type %s, and type %s is expected", number, column.name,
                         shown_name(column.type_name), format_type_be(expected)),
                  errhint("Cast it in the query, or expect the type that it had then; text is read from any type that "
                          "is not PostgreSQL's own.")));
  pg_unreachable();
}

[[noreturn]] void raise_count(int given, int expected) {
  ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                  errmsg("the query returns %d columns, and %d are expected", given, expected)));
  pg_unreachable();
}

void read_from_text(ColumnPlan& plan, Oid type, int32 modifier) {
  Oid function = InvalidOid;
  getTypeInputInfo(type, &function, &plan.input_parameter);
  fmgr_info(function, &plan.input);
  plan.modifier = modifier;
}

// A type of this name or OID here, what a domain is over, or text.
bool can_be_read(const AnswerColumn& column, Oid expected) {
  return expected == column.type || is_text(expected) || expected == column.base_type ||
         std::strcmp(name_of_type(expected), column.type_name) == 0;
}

ColumnPlan plan_column(int number, const AnswerColumn& column, Oid expected, int32 modifier) {
  ColumnPlan plan = {};
  plan.name = column.name;
  plan.from_type = column.type;
  if (column.as_text) {
    if (!can_be_read(column, expected)) raise_mismatch(number, column, expected);
    plan.way = ColumnPlan::Way::kFromText;
    read_from_text(plan, expected, modifier);
    return plan;
  }
  const bool same = expected == column.type || IsBinaryCoercible(column.type, expected);
  if (!same && getBaseType(expected) != column.type) raise_mismatch(number, column, expected);
  if (same && (modifier < 0 || modifier == column.modifier)) return plan;
  // A domain's checks, or the length of the column that is wanted.
  plan.way = ColumnPlan::Way::kPrintAndRead;
  Oid function = InvalidOid;
  bool is_varlena = false;
  getTypeOutputInfo(column.type, &function, &is_varlena);
  fmgr_info(function, &plan.output);
  read_from_text(plan, expected, modifier);
  return plan;
}

TupleDesc columns_of_their_own(int count, const AnswerColumn* columns) {
  TupleDesc result = CreateTemplateTupleDesc(count);
  for (int i = 0; i < count; i++) {
    const Oid type = columns[i].as_text ? TEXTOID : columns[i].type;
    const int32 modifier = columns[i].as_text ? -1 : columns[i].modifier;
    TupleDescInitEntry(result, static_cast<AttrNumber>(i + 1), columns[i].name, type, modifier, 0);
  }
  return BlessTupleDesc(result);
}

void name_column(void* argument) {
  errcontext("column \"%s\" of a row of the past", static_cast<const char*>(argument));
}

Datum read_value(ColumnPlan& plan, char* text) {
  ErrorContextCallback callback = {error_context_stack, name_column, const_cast<char*>(plan.name)};
  error_context_stack = &callback;
  const Datum value = InputFunctionCall(&plan.input, text, plan.input_parameter, plan.modifier);
  error_context_stack = callback.previous;
  return value;
}

}  // namespace

TupleDesc descriptor_of_answer(int count, const Oid* types, const bool* as_text) {
  TupleDesc descriptor = CreateTemplateTupleDesc(count);
  for (int i = 0; i < count; i++) {
    TupleDescInitEntry(descriptor, static_cast<AttrNumber>(i + 1), "", as_text[i] ? TEXTOID : types[i], -1, 0);
  }
  return descriptor;
}

RowPlan* plan_rows(StringInfo message, TupleDesc expected) {
  auto* plan = static_cast<RowPlan*>(palloc0(sizeof(RowPlan)));
  plan->count = static_cast<int>(pq_getmsgint(message, 4));
  const Size count = static_cast<Size>(plan->count);
  auto* columns = static_cast<AnswerColumn*>(palloc0(sizeof(AnswerColumn) * count));
  auto* types = static_cast<Oid*>(palloc0(sizeof(Oid) * count));
  auto* as_text = static_cast<bool*>(palloc0(sizeof(bool) * count));
  for (int i = 0; i < plan->count; i++) {
    columns[i] = take_column(message);
    columns[i].name = pstrdup(columns[i].name);
    columns[i].type_name = pstrdup(columns[i].type_name);
    types[i] = columns[i].type;
    as_text[i] = columns[i].as_text;
  }
  plan->answer = descriptor_of_answer(plan->count, types, as_text);
  plan->result =
      expected != nullptr ? BlessTupleDesc(CreateTupleDescCopy(expected)) : columns_of_their_own(plan->count, columns);
  plan->columns = static_cast<ColumnPlan*>(palloc0(sizeof(ColumnPlan) * count));
  int taken = 0;
  for (int i = 0; i < plan->result->natts; i++) {
    const Form_pg_attribute attribute = TupleDescAttr(plan->result, i);
    if (attribute->attisdropped) continue;
    if (taken < plan->count) {
      plan->columns[taken] = plan_column(i + 1, columns[taken], attribute->atttypid, attribute->atttypmod);
      plan->columns[taken].to = i;
    }
    taken++;
  }
  if (taken != plan->count) raise_count(plan->count, taken);
  return plan;
}

void convert_row(RowPlan& plan, const Datum* values, const bool* nulls, Datum* result, bool* result_nulls) {
  for (int i = 0; i < plan.result->natts; i++) result_nulls[i] = true;
  for (int i = 0; i < plan.count; i++) {
    ColumnPlan& column = plan.columns[i];
    // The input function of a domain is called for null too: it may not allow it.
    if (nulls[i] && column.way == ColumnPlan::Way::kAsItIs) continue;
    char* printed = nullptr;
    if (!nulls[i] && column.way == ColumnPlan::Way::kFromText) printed = text_to_cstring(DatumGetTextPP(values[i]));
    if (!nulls[i] && column.way == ColumnPlan::Way::kPrintAndRead)
      printed = OutputFunctionCall(&column.output, values[i]);
    result[column.to] = column.way == ColumnPlan::Way::kAsItIs ? values[i] : read_value(column, printed);
    result_nulls[column.to] = nulls[i];
  }
}

}  // namespace strata::travellers
