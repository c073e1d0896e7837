// What clients ask of a server that they take for a standby. A travelling session answers as recovery that was told to
// stop and pause at the moment: pg_is_in_recovery() and in_hot_standby are true, and nothing is received or replayed.
extern "C" {
#include "seams_includes.h"

#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "seams.h"
}

#include "pg/lsn_format.h"
#include "travel/session.h"

namespace strata::travel {

namespace {

const char* in_hot_standby() { return "on"; }

// pg_stat_activity shows the query with the moment before it.
void report_activity(BackendState state, const char* query) {
  static char* shown = nullptr;
  if (shown == nullptr) {
    shown = static_cast<char*>(MemoryContextAlloc(TopMemoryContext, pgstat_track_activity_query_size));
  }
  if (query != nullptr) {
    snprintf(shown, pgstat_track_activity_query_size, "/* at LSN %X/%X */ %s", LSN_FORMAT_ARGS(current_moment().lsn),
             query);
  }
  strata_real_pgstat_report_activity(state, query != nullptr ? shown : nullptr);
}

Datum replay_is_paused(FunctionCallInfo) { return BoolGetDatum(true); }

Datum replay_pause_state(FunctionCallInfo) { return CStringGetTextDatum("paused"); }

Datum no_received_lsn(FunctionCallInfo fcinfo) { PG_RETURN_NULL(); }

// In recovery, a prepared transaction is listed once recovery has ended.
Datum no_prepared_transactions(FunctionCallInfo fcinfo) {
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  if (result != nullptr && IsA(result, ReturnSetInfo)) result->isDone = ExprEndResult;
  PG_RETURN_NULL();
}

}  // namespace

void install_standby_functions(bool travel) {
  strata_seams.pgstat_report_activity = travel ? report_activity : nullptr;
  strata_seams.show_in_hot_standby = travel ? in_hot_standby : nullptr;
  strata_seams.pg_is_wal_replay_paused = travel ? replay_is_paused : nullptr;
  strata_seams.pg_get_wal_replay_pause_state = travel ? replay_pause_state : nullptr;
  strata_seams.pg_last_wal_receive_lsn = travel ? no_received_lsn : nullptr;
  strata_seams.pg_prepared_xact = travel ? no_prepared_transactions : nullptr;
}

// No part of a transaction, as the switch is none. The client gets it with its next answer.
void report_read_only() {
  SetConfigOption("in_hot_standby", RecoveryInProgress() ? "true" : "false", PGC_INTERNAL, PGC_S_OVERRIDE);
}

}  // namespace strata::travel
