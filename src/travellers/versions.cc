// strata.versions(): the versions of a table's rows, file by file.
extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
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

// What one call of the function keeps between its rows.
struct Walk {
  Table table;
  TupleDesc row;       // of the table
  TupleDesc expected;  // of an answer: the columns of versions, then those of the row
  TupleDesc result;
  XLogRecPtr from;
  XLogRecPtr to;
  bool every_version;
  bool unchanged;
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

// Asks for the versions in the next file; false where there is none.
bool begin_span(Walk* walk) {
  if (walk->next >= Max(walk->count, 1)) return false;
  Versions versions = {};
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
  if (kind == RELKIND_RELATION || kind == RELKIND_MATVIEW) return;
  ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" has no row versions", table.name),
                  errdetail_relkind_not_supported(kind)));
}

Walk* begin_walk(FunctionCallInfo fcinfo) {
  auto* walk = static_cast<Walk*>(palloc0(sizeof(Walk)));
  const Window window = window_of(fcinfo, 1);
  walk->from = window.from;
  walk->to = window.to;
  walk->every_version = !PG_ARGISNULL(4) && PG_GETARG_BOOL(4);
  walk->unchanged = !PG_ARGISNULL(5) && PG_GETARG_BOOL(5);
  const Oid type = get_fn_expr_argtype(fcinfo->flinfo, 0);
  if (OidIsValid(get_typ_typrelid(type))) walk->row = lookup_rowtype_tupdesc_copy(type, -1);
  walk->table = describe_table(type, walk->row);
  require_table(walk->table);
  if (!PG_ARGISNULL(3)) walk->table.condition = text_to_cstring(PG_GETARG_TEXT_PP(3));
  if (get_call_result_type(fcinfo, nullptr, &walk->result) != TYPEFUNC_COMPOSITE) elog(ERROR, "return type is no row");
  walk->result = BlessTupleDesc(walk->result);
  walk->expected = expected_columns(walk->row);
  walk->row = BlessTupleDesc(walk->row);
  const Size count = static_cast<Size>(walk->expected->natts);
  walk->values = static_cast<Datum*>(palloc0(sizeof(Datum) * count));
  walk->nulls = static_cast<bool*>(palloc0(sizeof(bool) * count));
  walk->count = versions::file_spans(walk->table.oid, walk->from, walk->to, &walk->spans);
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
  const HeapTuple row = heap_form_tuple(walk.row, walk.values + kVersionColumns, walk.nulls + kVersionColumns);
  values[kRow] = HeapTupleGetDatum(row);
  nulls[kRow] = false;
  return heap_form_tuple(walk.result, values, nulls);
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_versions);
Datum strata_versions(PG_FUNCTION_ARGS) {
  FuncCallContext* context = nullptr;
  if (SRF_IS_FIRSTCALL()) {
    context = SRF_FIRSTCALL_INIT();
    MemoryContext previous = MemoryContextSwitchTo(context->multi_call_memory_ctx);
    context->user_fctx = begin_walk(fcinfo);
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

}  // extern "C"

}  // namespace strata::travellers
