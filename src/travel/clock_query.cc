#include "travel/clock_query.h"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_language_d.h"
#include "catalog/pg_proc.h"
#include "nodes/nodeFuncs.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
}

#include <algorithm>
#include <iterator>
#include <string_view>

namespace strata::travel {

namespace {

// Functions of PostgreSQL that are not immutable and yet read no more than this: C names (pg_proc.prosrc).
constexpr std::string_view kReadingNoMore[] = {"now",
                                               "clock_timestamp",
                                               "statement_timestamp",
                                               "timeofday",
                                               "show_config_by_name",
                                               "show_config_by_name_missing_ok",
                                               "set_config_by_name",
                                               "pg_backend_pid",
                                               "timestamptz_in",
                                               "timestamptz_out",
                                               "timestamp_in",
                                               "timestamp_out",
                                               "date_in",
                                               "date_out",
                                               "interval_in",
                                               "interval_out",
                                               "time_in",
                                               "time_out",
                                               "timetz_in",
                                               "timetz_out",
                                               "timestamptz_pl_interval",
                                               "timestamptz_mi_interval",
                                               "timestamp_mi",
                                               "timestamp_timestamptz",
                                               "timestamptz_timestamp",
                                               "date_timestamptz",
                                               "timestamptz_date",
                                               "timestamptz_trunc",
                                               "timestamptz_part",
                                               "extract_timestamptz",
                                               "timestamptz_to_char",
                                               "timestamp_to_char",
                                               "interval_to_char",
                                               "to_timestamp",
                                               "to_date",
                                               "make_timestamptz",
                                               "make_timestamptz_at_timezone",
                                               "text_format",
                                               "text_format_nv",
                                               "text_concat",
                                               "text_concat_ws",
                                               "textanycat",
                                               "anytextcat"};

bool reads_more(Oid function, void*) {
  if (function >= FirstNormalObjectId) return true;
  HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(tuple)) return true;
  const auto* row = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
  bool more = row->prolang != INTERNALlanguageId;
  if (!more && row->provolatile != PROVOLATILE_IMMUTABLE) {
    const Datum source = SysCacheGetAttrNotNull(PROCOID, tuple, Anum_pg_proc_prosrc);
    const std::string_view wanted = TextDatumGetCString(source);
    more = std::find(std::begin(kReadingNoMore), std::end(kReadingNoMore), wanted) == std::end(kReadingNoMore);
  }
  ReleaseSysCache(tuple);
  return more;
}

bool expression_reads_more(Node* node, void* context) {
  if (node == nullptr) return false;
  if (IsA(node, SubPlan) || IsA(node, NextValueExpr)) return true;
  if (check_functions_in_node(node, reads_more, context)) return true;
  return expression_tree_walker(node, expression_reads_more, context);
}

}  // namespace

bool reads_only_clock_and_settings(const PlannedStmt* statement) {
  if (statement->commandType != CMD_SELECT || statement->hasModifyingCTE || statement->relationOids != NIL ||
      statement->subplans != NIL || statement->rowMarks != NIL || !IsA(statement->planTree, Result)) {
    return false;
  }
  const Plan* plan = statement->planTree;
  if (plan->lefttree != nullptr || plan->righttree != nullptr) return false;
  const auto* result = reinterpret_cast<const Result*>(plan);
  return !expression_reads_more(reinterpret_cast<Node*>(plan->targetlist), nullptr) &&
         !expression_reads_more(result->resconstantqual, nullptr);
}

}  // namespace strata::travel
