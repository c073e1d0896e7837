#include "sql/explain.h"

extern "C" {
#include "postgres.h"

#include "access/parallel.h"
#include "commands/defrem.h"
#include "commands/explain.h"
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
}

#include "pg/guard.h"
#include "pg/lsn_format.h"
#include "pg/shared_state.h"
#include "pg/statistics.h"
#include "pg/store_reader.h"
#include "travel/session.h"

namespace strata::sql {

namespace {

int extension_id = -1;
ExecutorStart_hook_type previous_start = nullptr;
ExecutorEnd_hook_type previous_end = nullptr;
explain_per_plan_hook_type previous_per_plan = nullptr;
explain_validate_options_hook_type previous_validate = nullptr;

// The EXPLAIN (STRATA) that this session began last. One that failed leaves it behind, and the next one begins anew.
struct Measurement {
  bool planning = false;            // its query has not been started yet
  pg::ReadStatistics at_begin;      // of planning
  pg::ReadStatistics at_execution;  // ... and of execution
};
Measurement measurement;

void begin_planning() {
  measurement.planning = true;
  measurement.at_begin = pg::reads_of_process();
}

// Layers are counted anew for planning and for execution.
void mark_layers() {
  if (travel::travelling()) pg::store_reader().mark_layers();
}

void apply_option(ExplainState* explain, DefElem* option, ParseState*) {
  // The value itself is the state: set or not.
  SetExplainExtensionState(explain, extension_id, defGetBoolean(option) ? &measurement : nullptr);
}

bool is_on(ExplainState* explain) { return GetExplainExtensionState(explain, extension_id) != nullptr; }

void validate_options(ExplainState* explain, List* options, ParseState* parse_state) {
  if (previous_validate != nullptr) previous_validate(explain, options, parse_state);
  if (!is_on(explain)) return;
  if (!explain->analyze) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("EXPLAIN option %s requires ANALYZE", "STRATA")));
  }
  mark_layers();
  begin_planning();
}

// The first query that starts after planning is the one that is explained.
void executor_start(QueryDesc* query, int flags) {
  if (measurement.planning) {
    measurement.planning = false;
    mark_layers();
    measurement.at_execution = pg::reads_of_process();
  }
  if (previous_start != nullptr) {
    previous_start(query, flags);
  } else {
    standard_ExecutorStart(query, flags);
  }
}

void executor_end(QueryDesc* query) {
  if (IsParallelWorker() && travel::travelling()) pg::hand_reads_to_leader();
  if (previous_end != nullptr) {
    previous_end(query);
  } else {
    standard_ExecutorEnd(query);
  }
}

double milliseconds(const pg::ReadStatistics& read) { return static_cast<double>(read.nanoseconds) / 1e6; }

void append_counts(const pg::ReadStatistics& read, ExplainState* explain) {
  StringInfo out = explain->str;
  appendStringInfo(out, "pages=%llu redo=%llu layers=%llu blocks=%llu bytes=%llu",
                   static_cast<unsigned long long>(read.pages), static_cast<unsigned long long>(read.redo_calls),
                   static_cast<unsigned long long>(read.layers), static_cast<unsigned long long>(read.blocks),
                   static_cast<unsigned long long>(read.bytes));
  if (explain->timing) appendStringInfo(out, " time=%.3f", milliseconds(read));
  appendStringInfoChar(out, '\n');
}

void show_as_text(const char* moment, const pg::ReadStatistics& planning, const pg::ReadStatistics& execution,
                  ExplainState* explain) {
  ExplainIndentText(explain);
  appendStringInfo(explain->str, "Strata: %s ", moment);
  append_counts(execution, explain);
  if (planning.requests == 0) return;
  ++explain->indent;
  ExplainIndentText(explain);
  appendStringInfoString(explain->str, "Planning: ");
  append_counts(planning, explain);
  --explain->indent;
}

void show_counts(const pg::ReadStatistics& read, ExplainState* explain) {
  ExplainPropertyUInteger("Pages Rebuilt", nullptr, read.pages, explain);
  ExplainPropertyUInteger("Redo Calls", nullptr, read.redo_calls, explain);
  ExplainPropertyUInteger("Layers Touched", nullptr, read.layers, explain);
  ExplainPropertyUInteger("Layer Blocks Read", nullptr, read.blocks, explain);
  ExplainPropertyUInteger("Layer Bytes Read", nullptr, read.bytes, explain);
  if (explain->timing) ExplainPropertyFloat("Time", "ms", milliseconds(read), 3, explain);
}

void show(ExplainState* explain) {
  const pg::ReadStatistics now = pg::reads_of_process();
  const pg::ReadStatistics execution = now - measurement.at_execution;
  const pg::ReadStatistics planning = measurement.at_execution - measurement.at_begin;
  char moment[32] = "present";
  if (travel::travelling()) {
    snprintf(moment, sizeof(moment), "%X/%X", LSN_FORMAT_ARGS(travel::current_moment().lsn));
  }
  if (explain->format == EXPLAIN_FORMAT_TEXT) {
    show_as_text(moment, planning, execution, explain);
  } else {
    ExplainOpenGroup("Strata", "Strata", true, explain);
    ExplainPropertyText("Moment", moment, explain);
    show_counts(execution, explain);
    ExplainOpenGroup("Planning", "Planning", true, explain);
    show_counts(planning, explain);
    ExplainCloseGroup("Planning", "Planning", true, explain);
    ExplainCloseGroup("Strata", "Strata", true, explain);
  }
  // A rule may have made several queries of one: the next one is planned already.
  begin_planning();
}

void per_plan(PlannedStmt* planned, IntoClause* into, ExplainState* explain, const char* text, ParamListInfo parameters,
              QueryEnvironment* environment) {
  if (previous_per_plan != nullptr) previous_per_plan(planned, into, explain, text, parameters, environment);
  if (is_on(explain)) show(explain);
}

}  // namespace

void install_explain_option() {
  extension_id = GetExplainExtensionId("strata");
  RegisterExtensionExplainOption("strata", apply_option);
  previous_validate = explain_validate_options_hook;
  explain_validate_options_hook = validate_options;
  previous_per_plan = explain_per_plan_hook;
  explain_per_plan_hook = per_plan;
  previous_start = ExecutorStart_hook;
  ExecutorStart_hook = executor_start;
  previous_end = ExecutorEnd_hook;
  ExecutorEnd_hook = executor_end;
}

}  // namespace strata::sql
