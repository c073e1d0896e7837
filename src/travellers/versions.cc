// strata.versions(), versions_json(): the versions of a table's rows, file by file.
extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/bufpage.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
}

#include "travel/history.h"
#include "travellers/call.h"
#include "travellers/functions.h"
#include "travellers/window.h"
#include "travellers/request.h"
#include "travellers/version_columns.h"
#include "versions/files.h"

namespace strata::travellers {

namespace {

using versions::Committed;
using versions::FileSpan;

// Columns of the result before the row: kEndXid is not among them.
enum ResultColumn { kRow = kVersionColumns - 1, kResultColumns };

// A table with rows of its own.
struct Member {
  Oid oid;
  const char* schema;
  const char* name;
};

// What one call of the function keeps between its rows.
struct Walk {
  Table table;
  TupleDesc row;       // of the table; null: rows are jsonb
  TupleDesc expected;  // of an answer: the columns of versions, then those of the row
  TupleDesc result;
  XLogRecPtr from;
  XLogRecPtr to;
  bool every_version;
  bool unchanged;
  Oid rights_of;
  List* members;  // of Member: the table, or its partitions
  int next_member;
  // Of the member before next_member.
  FileSpan* spans;
  int count;
  int next;        // span that is to be asked for
  bool rewritten;  // the commit between the span before and that one
  Call* call;
  Datum* values;
  bool* nulls;
};

// Whether the file that the table got by `commit` has row versions in it that are older: VACUUM FULL and CLUSTER keep
// them as they are.
bool keeps_versions(const FileSpan& file, const versions::TransactionEnd& commit, XLogRecPtr from) {
  const BlockNumber blocks = travel::nblocks_at(file.locator, MAIN_FORKNUM, commit.lsn);
  if (blocks == InvalidBlockNumber) return false;
  versions::TransactionEnds* ends = versions::open_transaction_ends(from, commit.lsn);
  char* page = static_cast<char*>(palloc(BLCKSZ));
  for (BlockNumber block = 0; block < blocks; block++) {
    CHECK_FOR_INTERRUPTS();
    travel::read_pages_at(file.locator, MAIN_FORKNUM, block, 1, commit.lsn, &page);
    if (PageIsNew(page)) continue;
    for (OffsetNumber i = FirstOffsetNumber; i <= PageGetMaxOffsetNumber(page); i++) {
      const ItemId item = PageGetItemId(page, i);
      if (!ItemIdIsNormal(item)) continue;
      const auto* header = reinterpret_cast<const HeapTupleHeaderData*>(PageGetItem(page, item));
      if (end_of(ends, HeapTupleHeaderGetRawXmin(header)).lsn != commit.lsn) return true;
    }
  }
  return false;
}

Fate fate_of(const Walk& walk, const FileSpan& span, const FileSpan* next) {
  if (span.next.committed != Committed::kWithin) return Fate::kStands;
  if (next == nullptr || next->begin != span.next.lsn) return Fate::kEnds;
  if (keeps_versions(*next, span.next, walk.from)) return Fate::kContinues;
  return versions::columns_changed_at(walk.table.oid, span.next.lsn, walk.from) ? Fate::kRewritten : Fate::kEnds;
}

// False after the last table.
bool begin_member(Walk* walk) {
  if (walk->next_member == list_length(walk->members)) return false;
  const auto* member = static_cast<const Member*>(list_nth(walk->members, walk->next_member++));
  walk->table.oid = member->oid;
  walk->table.schema = member->schema;
  walk->table.name = member->name;
  walk->count = versions::file_spans(member->oid, walk->from, walk->to, &walk->spans);
  walk->next = 0;
  walk->rewritten = false;
  return true;
}

// Asks for the versions in the next file; false where there is none.
bool begin_span(Walk* walk) {
  if (walk->next >= Max(walk->count, 1) && !begin_member(walk)) return false;
  Versions versions = {};
  versions.rights_of = walk->rights_of;
  versions.from = walk->from;
  versions.every_version = walk->every_version;
  versions.unchanged = walk->unchanged;
  versions.fate = Fate::kStands;
  versions.rewritten = walk->rewritten;
  XLogRecPtr to = walk->to;
  if (walk->count > 0) {
    const FileSpan& span = walk->spans[walk->next];
    const FileSpan* after = walk->next + 1 < walk->count ? &walk->spans[walk->next + 1] : nullptr;
    versions.begin = span.begin;
    versions.fate = fate_of(*walk, span, after);
    to = span.to;
    if (versions.fate != Fate::kStands) versions.end = span.next.lsn;
    versions.end_xid = span.next.top;
    walk->rewritten = versions.fate == Fate::kRewritten;
  }
  walk->next++;
  StringInfoData request;
  initStringInfo(&request);
  put_orders(&request, to, RequestKind::kVersions);
  put_table(&request, walk->table);
  put_versions(&request, versions);
  walk->call = begin_call(to, &request, walk->expected);
  pfree(request.data);
  return true;
}

void stop(Datum argument) {
  auto* walk = static_cast<Walk*>(static_cast<void*>(DatumGetPointer(argument)));
  if (walk->call != nullptr) end_call(walk->call);
  walk->call = nullptr;
}

bool next_version(Walk* walk) {
  for (;;) {
    if (walk->call == nullptr && !begin_span(walk)) return false;
    if (next_row(walk->call, walk->values, walk->nulls)) return true;
    stop(PointerGetDatum(walk));
  }
}

TupleDesc expected_columns(TupleDesc row) {
  TupleDesc columns = CreateTemplateTupleDesc(kVersionColumns + row->natts);
  describe_version_columns(columns);
  for (int i = 0; i < row->natts; i++) {
    const auto number = static_cast<AttrNumber>(kVersionColumns + i + 1);
    TupleDescCopyEntry(columns, number, row, static_cast<AttrNumber>(i + 1));
    TupleDescAttr(columns, number - 1)->attisdropped = TupleDescAttr(row, i)->attisdropped;
  }
  return columns;
}

void require_table(const Table& table) {
  const char kind = get_rel_relkind(table.oid);
  if (kind == RELKIND_RELATION || kind == RELKIND_MATVIEW || kind == RELKIND_PARTITIONED_TABLE) return;
  ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" has no row versions", table.name),
                  errdetail_relkind_not_supported(kind)));
}

// Calls visit() for each row of a query at a moment.
template <typename Visit>
void query_moment(XLogRecPtr lsn, const char* query, Datum parameter, Oid type, TupleDesc columns, Visit&& visit) {
  const bool null = false;
  Call* call = begin_query_call(lsn, query, 1, &parameter, &type, &null, columns);
  Datum* values = static_cast<Datum*>(palloc0(sizeof(Datum) * static_cast<Size>(columns->natts)));
  bool* nulls = static_cast<bool*>(palloc0(sizeof(bool) * static_cast<Size>(columns->natts)));
  while (next_row(call, values, nulls)) visit(values, nulls);
  end_call(call);
}

TupleDesc member_columns() {
  TupleDesc columns = CreateTemplateTupleDesc(3);
  TupleDescInitEntry(columns, 1, "oid", OIDOID, -1, 0);
  TupleDescInitEntry(columns, 2, "schema", TEXTOID, -1, 0);
  TupleDescInitEntry(columns, 3, "name", TEXTOID, -1, 0);
  return columns;
}

// Adds the tables whose rows a relation had at a moment.
void add_members(Walk* walk, Oid relation, XLogRecPtr lsn) {
  constexpr const char* kQuery =
      "WITH RECURSIVE t(oid) AS (SELECT $1 UNION SELECT i.inhrelid FROM t JOIN pg_catalog.pg_inherits AS i "
      "ON i.inhparent OPERATOR(pg_catalog.=) t.oid) "
      "SELECT c.oid, n.nspname::pg_catalog.text, c.relname::pg_catalog.text FROM t JOIN pg_catalog.pg_class AS c "
      "ON c.oid OPERATOR(pg_catalog.=) t.oid JOIN pg_catalog.pg_namespace AS n "
      "ON n.oid OPERATOR(pg_catalog.=) c.relnamespace WHERE c.relkind OPERATOR(pg_catalog.=) 'r'";
  query_moment(lsn, kQuery, ObjectIdGetDatum(relation), OIDOID, member_columns(), [&](Datum* values, const bool*) {
    const Oid oid = DatumGetObjectId(values[0]);
    ListCell* cell = nullptr;
    foreach (cell, walk->members) {
      if (static_cast<const Member*>(lfirst(cell))->oid == oid) return;
    }
    auto* member = static_cast<Member*>(palloc(sizeof(Member)));
    *member = Member{oid, TextDatumGetCString(values[1]), TextDatumGetCString(values[2])};
    walk->members = lappend(walk->members, member);
  });
}

// The table itself, or all that it had under it at either end of the window.
void find_members(Walk* walk) {
  if (!has_subclass(walk->table.oid)) {
    auto* member = static_cast<Member*>(palloc(sizeof(Member)));
    *member = Member{walk->table.oid, walk->table.schema, walk->table.name};
    walk->members = list_make1(member);
    return;
  }
  walk->rights_of = walk->table.oid;
  add_members(walk, walk->table.oid, walk->to);
  add_members(walk, walk->table.oid, walk->from);
}

// A table by its name at the window's end or else its begin.
void find_by_name(Walk* walk, text* name) {
  constexpr const char* kQuery =
      "SELECT c.oid, n.nspname::pg_catalog.text, c.relname::pg_catalog.text FROM pg_catalog.pg_class AS c "
      "JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace "
      "WHERE c.oid OPERATOR(pg_catalog.=) pg_catalog.to_regclass($1)::pg_catalog.oid";
  XLogRecPtr lsn = walk->to;
  const auto take = [&](Datum* values, const bool*) {
    walk->table.oid = DatumGetObjectId(values[0]);
    walk->table.schema = TextDatumGetCString(values[1]);
    walk->table.name = TextDatumGetCString(values[2]);
  };
  query_moment(lsn, kQuery, PointerGetDatum(name), TEXTOID, member_columns(), take);
  if (!OidIsValid(walk->table.oid)) {
    lsn = walk->from;
    query_moment(lsn, kQuery, PointerGetDatum(name), TEXTOID, member_columns(), take);
  }
  if (!OidIsValid(walk->table.oid)) {
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("table \"%s\" existed at neither moment", text_to_cstring(name)),
             errhint("Choose a moment at which it was there; strata.dropped() knows when tables went.")));
  }
  walk->rights_of = walk->table.oid;
  add_members(walk, walk->table.oid, lsn);
  if (walk->members == NIL) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" has no row versions", walk->table.name),
                    errdetail("It is no table.")));
  }
}

Walk* begin_walk(FunctionCallInfo fcinfo, bool as_json) {
  auto* walk = static_cast<Walk*>(palloc0(sizeof(Walk)));
  const Window window = window_of(fcinfo, 1);
  walk->from = window.from;
  walk->to = window.to;
  walk->every_version = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
  walk->unchanged = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);
  if (as_json) {
    if (PG_ARGISNULL(0)) {
      ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the table must not be null")));
    }
    walk->table.condition = "";
    find_by_name(walk, PG_GETARG_TEXT_PP(0));
    TupleDesc json = CreateTemplateTupleDesc(1);
    TupleDescInitEntry(json, 1, "row", JSONBOID, -1, 0);
    walk->expected = expected_columns(json);
  } else {
    const Oid type = get_fn_expr_argtype(fcinfo->flinfo, 0);
    if (OidIsValid(get_typ_typrelid(type))) walk->row = lookup_rowtype_tupdesc_copy(type, -1);
    walk->table = describe_table(type, walk->row);
    require_table(walk->table);
    find_members(walk);
    walk->expected = expected_columns(walk->row);
    walk->row = BlessTupleDesc(walk->row);
  }
  if (!PG_ARGISNULL(3)) walk->table.condition = text_to_cstring(PG_GETARG_TEXT_PP(3));
  if (get_call_result_type(fcinfo, nullptr, &walk->result) != TYPEFUNC_COMPOSITE) elog(ERROR, "return type is no row");
  walk->result = BlessTupleDesc(walk->result);
  walk->next = 1;  // there is no table yet
  const Size count = static_cast<Size>(walk->expected->natts);
  walk->values = static_cast<Datum*>(palloc0(sizeof(Datum) * count));
  walk->nulls = static_cast<bool*>(palloc0(sizeof(bool) * count));
  return walk;
}

HeapTuple result_row(const Walk& walk) {
  Datum values[kResultColumns];
  bool nulls[kResultColumns];
  int column = 0;
  for (int i = 0; i < kVersionColumns; i++) {
    if (i == kEndXid) continue;
    values[column] = walk.values[i];
    nulls[column++] = walk.nulls[i];
  }
  if (walk.row == nullptr) {
    values[kRow] = walk.values[kVersionColumns];
    nulls[kRow] = walk.nulls[kVersionColumns];
  } else {
    const HeapTuple row = heap_form_tuple(walk.row, walk.values + kVersionColumns, walk.nulls + kVersionColumns);
    values[kRow] = HeapTupleGetDatum(row);
    nulls[kRow] = false;
  }
  return heap_form_tuple(walk.result, values, nulls);
}

Datum versions_of(FunctionCallInfo fcinfo, bool as_json) {
  FuncCallContext* context = nullptr;
  if (SRF_IS_FIRSTCALL()) {
    context = SRF_FIRSTCALL_INIT();
    MemoryContext previous = MemoryContextSwitchTo(context->multi_call_memory_ctx);
    context->user_fctx = begin_walk(fcinfo, as_json);
    MemoryContextSwitchTo(previous);
    const auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
    RegisterExprContextCallback(info->econtext, stop, PointerGetDatum(context->user_fctx));
  }
  context = SRF_PERCALL_SETUP();
  auto* walk = static_cast<Walk*>(context->user_fctx);
  MemoryContext previous = MemoryContextSwitchTo(context->multi_call_memory_ctx);
  const bool found = next_version(walk);
  MemoryContextSwitchTo(previous);
  if (found) SRF_RETURN_NEXT(context, HeapTupleGetDatum(result_row(*walk)));
  const auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  UnregisterExprContextCallback(info->econtext, stop, PointerGetDatum(walk));
  SRF_RETURN_DONE(context);
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_versions);
Datum strata_versions(PG_FUNCTION_ARGS) { return versions_of(fcinfo, false); }

PG_FUNCTION_INFO_V1(strata_versions_json);
Datum strata_versions_json(PG_FUNCTION_ARGS) { return versions_of(fcinfo, true); }

}  // extern "C"

}  // namespace strata::travellers
