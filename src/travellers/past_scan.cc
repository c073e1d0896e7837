#include "travellers/past_scan.h"

extern "C" {
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/typcache.h"
}

#include <cstring>

#include "travellers/call.h"
#include "travellers/functions.h"
#include "travellers/request.h"

namespace strata::travellers {

namespace {

constexpr const char* kName = "StrataPastScan";

struct Function {
  const char* symbol;
  RequestKind kind;
  MomentType moment;
};

constexpr Function kFunctions[] = {
    {"strata_query_at_time", RequestKind::kQuery, MomentType::kTime},
    {"strata_query_at_lsn", RequestKind::kQuery, MomentType::kLsn},
    {"strata_query_at_words", RequestKind::kQuery, MomentType::kWords},
    {"strata_table_at_time", RequestKind::kTable, MomentType::kTime},
    {"strata_table_at_lsn", RequestKind::kTable, MomentType::kLsn},
    {"strata_table_at_words", RequestKind::kTable, MomentType::kWords},
};

set_rel_pathlist_hook_type previous_hook = nullptr;

struct PastScan {
  CustomScanState state;
  const FuncExpr* function;
  const Function* what;
  List* arguments;  // of ExprState
  Call* call;
  bool done;
};

// Null for a function that is none of ours.
const Function* find_function(Oid oid) {
  const char* schema = get_namespace_name(get_func_namespace(oid));
  if (schema == nullptr || std::strcmp(schema, "strata") != 0) return nullptr;
  FmgrInfo info;
  fmgr_info(oid, &info);
  for (const Function& function : kFunctions) {
    const auto address = reinterpret_cast<PGFunction>(
        load_external_function("$libdir/strata", const_cast<char*>(function.symbol), true, nullptr));
    if (info.fn_addr == address) return &function;
  }
  return nullptr;
}

bool needs_whole_row(const RelOptInfo* rel) {
  if (!bms_is_empty(rel->attr_needed[InvalidAttrNumber - rel->min_attr])) return true;
  Bitmapset* attributes = nullptr;
  ListCell* cell = nullptr;
  foreach (cell, rel->baserestrictinfo) {
    pull_varattnos(reinterpret_cast<Node*>(lfirst_node(RestrictInfo, cell)->clause), rel->relid, &attributes);
  }
  pull_varattnos(reinterpret_cast<Node*>(rel->reltarget->exprs), rel->relid, &attributes);
  return bms_is_member(InvalidAttrNumber - FirstLowInvalidHeapAttributeNumber, attributes);
}

// The call, if the relation is one of a function of ours and of nothing else.
const FuncExpr* call_in(const RelOptInfo* rel, const RangeTblEntry* entry) {
  if (rel->rtekind != RTE_FUNCTION || entry->funcordinality || list_length(entry->functions) != 1) return nullptr;
  if (!bms_is_empty(rel->lateral_relids)) return nullptr;
  const auto* function = linitial_node(RangeTblFunction, entry->functions);
  Node* expression = function->funcexpr;
  if (!IsA(expression, FuncExpr)) return nullptr;
  // The function itself says what is wrong with any other type.
  if (function->funccolnames == NIL && !OidIsValid(get_typ_typrelid(exprType(expression)))) return nullptr;
  const auto* call = reinterpret_cast<const FuncExpr*>(expression);
  return call->funcvariadic || find_function(call->funcid) == nullptr ? nullptr : call;
}

void append_column(List** columns, Index relid, AttrNumber number, Oid type, int32 modifier, Oid collation,
                   const char* name) {
  Var* column = makeVar(static_cast<int>(relid), number, type, modifier, collation, 0);
  *columns =
      lappend(*columns, makeTargetEntry(reinterpret_cast<Expr*>(column),
                                        static_cast<AttrNumber>(list_length(*columns) + 1), pstrdup(name), false));
}

// The columns of the rows: of a column definition list, or of the row type.
List* columns_of(Index relid, const RangeTblFunction* function) {
  List* columns = NIL;
  if (function->funccolnames != NIL) {
    for (int i = 0; i < list_length(function->funccolnames); i++) {
      append_column(&columns, relid, static_cast<AttrNumber>(i + 1), list_nth_oid(function->funccoltypes, i),
                    list_nth_int(function->funccoltypmods, i), list_nth_oid(function->funccolcollations, i),
                    strVal(list_nth(function->funccolnames, i)));
    }
    return columns;
  }
  const TupleDesc row = lookup_rowtype_tupdesc_copy(exprType(function->funcexpr), -1);
  for (int i = 0; i < row->natts; i++) {
    const Form_pg_attribute column = TupleDescAttr(row, i);
    if (column->attisdropped) continue;
    append_column(&columns, relid, column->attnum, column->atttypid, column->atttypmod, column->attcollation,
                  NameStr(column->attname));
  }
  return columns;
}

Node* create_state(CustomScan* scan);

const CustomScanMethods kScanMethods = {kName, create_state};

Plan* make_plan(PlannerInfo* root, RelOptInfo* rel, CustomPath* path, List* targets, List* clauses, List*) {
  const auto* function = linitial_node(RangeTblFunction, planner_rt_fetch(rel->relid, root)->functions);
  CustomScan* scan = makeNode(CustomScan);
  scan->scan.plan.targetlist = targets;
  scan->scan.plan.qual = extract_actual_clauses(clauses, false);
  scan->custom_exprs = list_make1(copyObjectImpl(function->funcexpr));
  scan->custom_scan_tlist = columns_of(rel->relid, function);
  scan->flags = path->flags;
  scan->methods = &kScanMethods;
  return &scan->scan.plan;
}

const CustomPathMethods kPathMethods = {kName, make_plan, nullptr};

void offer_past_scan(PlannerInfo* root, RelOptInfo* rel, Index index, RangeTblEntry* entry) {
  if (previous_hook != nullptr) previous_hook(root, rel, index, entry);
  const FuncExpr* call = call_in(rel, entry);
  if (call == nullptr || rel->pathlist == NIL || needs_whole_row(rel)) return;
  const auto* collecting = static_cast<Path*>(linitial(rel->pathlist));
  CustomPath* path = makeNode(CustomPath);
  path->path.pathtype = T_CustomScan;
  path->path.parent = rel;
  path->path.pathtarget = rel->reltarget;
  path->path.rows = collecting->rows;
  path->path.startup_cost = collecting->startup_cost;
  path->path.total_cost = collecting->total_cost;
  path->flags = CUSTOMPATH_SUPPORT_PROJECTION;
  path->methods = &kPathMethods;
  rel->pathlist = list_make1(path);
}

void begin(CustomScanState* node, EState*, int) {
  auto* scan = reinterpret_cast<PastScan*>(node);
  const auto* plan = reinterpret_cast<const CustomScan*>(node->ss.ps.plan);
  scan->function = linitial_node(FuncExpr, plan->custom_exprs);
  const AclResult allowed = object_aclcheck(ProcedureRelationId, scan->function->funcid, GetUserId(), ACL_EXECUTE);
  if (allowed != ACLCHECK_OK) aclcheck_error(allowed, OBJECT_FUNCTION, get_func_name(scan->function->funcid));
  scan->what = find_function(scan->function->funcid);
  scan->arguments = ExecInitExprList(scan->function->args, &node->ss.ps);
}

void require_value(bool null, const char* what) {
  if (null) ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", what)));
}

// In the memory of the query.
void start(PastScan* scan) {
  const int count = list_length(scan->arguments);
  auto* values = static_cast<Datum*>(palloc0(sizeof(Datum) * static_cast<Size>(count)));
  auto* types = static_cast<Oid*>(palloc0(sizeof(Oid) * static_cast<Size>(count)));
  auto* nulls = static_cast<bool*>(palloc0(sizeof(bool) * static_cast<Size>(count)));
  for (int i = 0; i < count; i++) {
    auto* argument = static_cast<ExprState*>(list_nth(scan->arguments, i));
    values[i] = ExecEvalExprSwitchContext(argument, scan->state.ss.ps.ps_ExprContext, &nulls[i]);
    types[i] = exprType(static_cast<Node*>(list_nth(scan->function->args, i)));
  }
  const bool is_query = scan->what->kind == RequestKind::kQuery;
  const int moment = is_query ? 0 : 1;
  require_value(nulls[moment], "the moment");
  const XLogRecPtr lsn = moment_of(values[moment], scan->what->moment);
  const TupleDesc expected = scan->state.ss.ss_ScanTupleSlot->tts_tupleDescriptor;
  if (is_query) {
    require_value(nulls[1], "the query");
    scan->call = begin_query_call(lsn, text_to_cstring(DatumGetTextPP(values[1])), count - 2, values + 2, types + 2,
                                  nulls + 2, expected);
    return;
  }
  StringInfoData request;
  initStringInfo(&request);
  put_orders(&request, lsn, RequestKind::kTable);
  const TupleDesc columns =
      OidIsValid(get_typ_typrelid(types[0])) ? lookup_rowtype_tupdesc_copy(types[0], -1) : nullptr;
  put_table(&request, describe_table(types[0], columns));
  scan->call = begin_call(lsn, &request, expected);
}

void stop(PastScan* scan) {
  if (scan->call != nullptr) end_call(scan->call);
  scan->call = nullptr;
}

TupleTableSlot* next(ScanState* node) {
  auto* scan = reinterpret_cast<PastScan*>(node);
  TupleTableSlot* slot = node->ss_ScanTupleSlot;
  ExecClearTuple(slot);
  if (scan->done) return slot;
  if (scan->call == nullptr) start(scan);
  MemoryContext previous = MemoryContextSwitchTo(node->ps.ps_ExprContext->ecxt_per_tuple_memory);
  const bool found = next_row(scan->call, slot->tts_values, slot->tts_isnull);
  MemoryContextSwitchTo(previous);
  if (found) return ExecStoreVirtualTuple(slot);
  scan->done = true;
  stop(scan);
  return slot;
}

bool recheck(ScanState*, TupleTableSlot*) { return true; }

TupleTableSlot* execute_scan(CustomScanState* node) { return ExecScan(&node->ss, next, recheck); }

void end(CustomScanState* node) { stop(reinterpret_cast<PastScan*>(node)); }

void scan_again(CustomScanState* node) {
  auto* scan = reinterpret_cast<PastScan*>(node);
  stop(scan);
  scan->done = false;
  ExecScanReScan(&node->ss);
}

void explain(CustomScanState* node, List*, ExplainState* state) {
  const auto* scan = reinterpret_cast<const PastScan*>(node);
  ExplainPropertyText("Rows of", get_func_name(scan->function->funcid), state);
}

CustomExecMethods methods_of_execution() {
  CustomExecMethods methods = {};
  methods.CustomName = kName;
  methods.BeginCustomScan = begin;
  methods.ExecCustomScan = execute_scan;
  methods.EndCustomScan = end;
  methods.ReScanCustomScan = scan_again;
  methods.ExplainCustomScan = explain;
  return methods;
}

const CustomExecMethods kExecMethods = methods_of_execution();

Node* create_state(CustomScan*) {
  auto* scan = static_cast<PastScan*>(palloc0(sizeof(PastScan)));
  NodeSetTag(scan, T_CustomScanState);
  scan->state.methods = &kExecMethods;
  return reinterpret_cast<Node*>(scan);
}

}  // namespace

void install_past_scan() {
  RegisterCustomScanMethods(&kScanMethods);
  previous_hook = set_rel_pathlist_hook;
  set_rel_pathlist_hook = offer_past_scan;
}

}  // namespace strata::travellers
