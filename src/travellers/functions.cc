// strata.query_at(), strata.table_at(), strata.json_at(): rows of another moment, one at a time.
extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/pg_lsn.h"
#include "utils/regproc.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"
}

#include "travellers/call.h"
#include "travellers/functions.h"
#include "travellers/moments.h"
#include "travellers/request.h"
#include "travellers/values.h"

namespace strata::travellers {

namespace {

void require_value(FunctionCallInfo fcinfo, int argument, const char* what) {
  if (!PG_ARGISNULL(argument)) return;
  ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", what)));
}

XLogRecPtr moment_argument(FunctionCallInfo fcinfo, int argument, MomentType type) {
  require_value(fcinfo, argument, "the moment");
  return moment_of(PG_GETARG_DATUM(argument), type);
}

// What a query of the function's rows keeps between them.
struct Rows {
  Call* call;
  Datum* values;
  bool* nulls;
};

// The statement needs no more rows: LIMIT, or its end.
void stop(Datum rows) {
  auto* open = static_cast<Rows*>(static_cast<void*>(DatumGetPointer(rows)));
  if (open->call != nullptr) end_call(open->call);
  open->call = nullptr;
}

Rows* begin_rows(FunctionCallInfo fcinfo, Call* call) {
  auto* rows = static_cast<Rows*>(palloc0(sizeof(Rows)));
  rows->call = call;
  const Size count = static_cast<Size>(row_type(rows->call)->natts);
  rows->values = static_cast<Datum*>(palloc0(sizeof(Datum) * (count + 1)));
  rows->nulls = static_cast<bool*>(palloc0(sizeof(bool) * (count + 1)));
  const auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  RegisterExprContextCallback(info->econtext, stop, PointerGetDatum(rows));
  return rows;
}

bool next(FunctionCallInfo fcinfo, Rows* rows) {
  if (next_row(rows->call, rows->values, rows->nulls)) return true;
  const auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  UnregisterExprContextCallback(info->econtext, stop, PointerGetDatum(rows));
  stop(PointerGetDatum(rows));
  return false;
}

Datum composite(FunctionCallInfo fcinfo) {
  FuncCallContext* context = SRF_PERCALL_SETUP();
  auto* rows = static_cast<Rows*>(context->user_fctx);
  if (!next(fcinfo, rows)) SRF_RETURN_DONE(context);
  const Datum row = HeapTupleGetDatum(heap_form_tuple(row_type(rows->call), rows->values, rows->nulls));
  SRF_RETURN_NEXT(context, row);
}

void begin_query(FunctionCallInfo fcinfo, MomentType type) {
  FuncCallContext* context = SRF_FIRSTCALL_INIT();
  MemoryContext previous = MemoryContextSwitchTo(context->multi_call_memory_ctx);
  const XLogRecPtr lsn = moment_argument(fcinfo, 0, type);
  require_value(fcinfo, 1, "the query");
  Datum* values = nullptr;
  Oid* types = nullptr;
  bool* nulls = nullptr;
  int count = 0;
  if (PG_NARGS() > 2) count = extract_variadic_args(fcinfo, 2, false, &values, &types, &nulls);
  const auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  Call* call = begin_query_call(lsn, text_to_cstring(PG_GETARG_TEXT_PP(1)), Max(count, 0), values, types, nulls,
                                info->expectedDesc);
  context->user_fctx = begin_rows(fcinfo, call);
  MemoryContextSwitchTo(previous);
}

Datum query_at(FunctionCallInfo fcinfo, MomentType type) {
  if (SRF_IS_FIRSTCALL()) begin_query(fcinfo, type);
  return composite(fcinfo);
}

void begin_table(FunctionCallInfo fcinfo, MomentType type) {
  FuncCallContext* context = SRF_FIRSTCALL_INIT();
  MemoryContext previous = MemoryContextSwitchTo(context->multi_call_memory_ctx);
  const XLogRecPtr lsn = moment_argument(fcinfo, 1, type);
  const Oid row_type_oid = get_fn_expr_argtype(fcinfo->flinfo, 0);
  TupleDesc columns = nullptr;
  if (OidIsValid(get_typ_typrelid(row_type_oid))) columns = lookup_rowtype_tupdesc_copy(row_type_oid, -1);
  const Table table = describe_table(row_type_oid, columns);
  StringInfoData request;
  initStringInfo(&request);
  put_orders(&request, lsn, RequestKind::kTable);
  put_table(&request, table);
  context->user_fctx = begin_rows(fcinfo, begin_call(lsn, &request, columns));
  MemoryContextSwitchTo(previous);
}

Datum table_at(FunctionCallInfo fcinfo, MomentType type) {
  if (SRF_IS_FIRSTCALL()) begin_table(fcinfo, type);
  return composite(fcinfo);
}

void begin_json(FunctionCallInfo fcinfo, MomentType type) {
  FuncCallContext* context = SRF_FIRSTCALL_INIT();
  MemoryContext previous = MemoryContextSwitchTo(context->multi_call_memory_ctx);
  require_value(fcinfo, 0, "the table");
  const XLogRecPtr lsn = moment_argument(fcinfo, 1, type);
  StringInfoData query;
  initStringInfo(&query);
  appendStringInfoString(&query, "SELECT pg_catalog.to_jsonb(r) FROM ");
  ListCell* cell = nullptr;
  const List* names = stringToQualifiedNameList(text_to_cstring(PG_GETARG_TEXT_PP(0)), nullptr);
  foreach (cell, names) {
    if (cell != list_head(names)) appendStringInfoChar(&query, '.');
    appendStringInfoString(&query, quote_identifier(strVal(lfirst(cell))));
  }
  appendStringInfoString(&query, " AS r");
  TupleDesc expected = CreateTemplateTupleDesc(1);
  TupleDescInitEntry(expected, 1, "json_at", JSONBOID, -1, 0);
  context->user_fctx = begin_rows(fcinfo, begin_query_call(lsn, query.data, 0, nullptr, nullptr, nullptr, expected));
  MemoryContextSwitchTo(previous);
}

Datum json_at(FunctionCallInfo fcinfo, MomentType type) {
  if (SRF_IS_FIRSTCALL()) begin_json(fcinfo, type);
  FuncCallContext* context = SRF_PERCALL_SETUP();
  auto* rows = static_cast<Rows*>(context->user_fctx);
  if (!next(fcinfo, rows)) SRF_RETURN_DONE(context);
  if (rows->nulls[0]) SRF_RETURN_NEXT_NULL(context);
  SRF_RETURN_NEXT(context, PointerGetDatum(PG_DETOAST_DATUM_COPY(rows->values[0])));
}

}  // namespace

XLogRecPtr moment_of(Datum moment, MomentType type) {
  switch (type) {
    case MomentType::kTime:
      return moment_at_time(DatumGetTimestampTz(moment));
    case MomentType::kLsn:
      return moment_at_lsn(DatumGetLSN(moment));
    case MomentType::kWords:
      return moment_in_words(text_to_cstring(DatumGetTextPP(moment)));
  }
  pg_unreachable();
}

Table describe_table(Oid row_type_oid, TupleDesc columns) {
  Table table = {};
  table.oid = get_typ_typrelid(row_type_oid);
  if (!OidIsValid(table.oid)) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("type %s is not the row type of a table", format_type_be(row_type_oid)),
                    errhint("Call it as strata.table_at(NULL::mytable, moment).")));
  }
  table.schema = get_namespace_name(get_rel_namespace(table.oid));
  table.name = get_rel_name(table.oid);
  table.condition = "";
  table.columns = static_cast<WantedColumn*>(palloc0(sizeof(WantedColumn) * static_cast<Size>(columns->natts + 1)));
  for (int i = 0; i < columns->natts; i++) {
    const Form_pg_attribute column = TupleDescAttr(columns, i);
    if (column->attisdropped) continue;
    table.columns[table.count++] =
        WantedColumn{NameStr(column->attname), column->atttypid, name_of_type(column->atttypid)};
  }
  return table;
}

extern "C" {

PG_FUNCTION_INFO_V1(strata_lsn_of);
Datum strata_lsn_of(PG_FUNCTION_ARGS) { PG_RETURN_LSN(moment_of(PG_GETARG_DATUM(0), MomentType::kWords)); }

PG_FUNCTION_INFO_V1(strata_query_at_time);
Datum strata_query_at_time(PG_FUNCTION_ARGS) { return query_at(fcinfo, MomentType::kTime); }

PG_FUNCTION_INFO_V1(strata_query_at_lsn);
Datum strata_query_at_lsn(PG_FUNCTION_ARGS) { return query_at(fcinfo, MomentType::kLsn); }

PG_FUNCTION_INFO_V1(strata_query_at_words);
Datum strata_query_at_words(PG_FUNCTION_ARGS) { return query_at(fcinfo, MomentType::kWords); }

PG_FUNCTION_INFO_V1(strata_table_at_time);
Datum strata_table_at_time(PG_FUNCTION_ARGS) { return table_at(fcinfo, MomentType::kTime); }

PG_FUNCTION_INFO_V1(strata_table_at_lsn);
Datum strata_table_at_lsn(PG_FUNCTION_ARGS) { return table_at(fcinfo, MomentType::kLsn); }

PG_FUNCTION_INFO_V1(strata_table_at_words);
Datum strata_table_at_words(PG_FUNCTION_ARGS) { return table_at(fcinfo, MomentType::kWords); }

PG_FUNCTION_INFO_V1(strata_json_at_time);
Datum strata_json_at_time(PG_FUNCTION_ARGS) { return json_at(fcinfo, MomentType::kTime); }

PG_FUNCTION_INFO_V1(strata_json_at_lsn);
Datum strata_json_at_lsn(PG_FUNCTION_ARGS) { return json_at(fcinfo, MomentType::kLsn); }

PG_FUNCTION_INFO_V1(strata_json_at_words);
Datum strata_json_at_words(PG_FUNCTION_ARGS) { return json_at(fcinfo, MomentType::kWords); }

}  // extern "C"

}  // namespace strata::travellers
