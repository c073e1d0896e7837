#include "travel/session.h"

extern "C" {
#include "seams_includes.h"

#include "access/parallel.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/guc_tables.h"
#include "utils/snapmgr.h"

#include "seams.h"
}

#include <cstring>

#include "pg/shared_state.h"
#include "travel/clock_query.h"
#include "travel/connection.h"
#include "travel/database_hold.h"
#include "travel/door.h"
#include "travel/present_roles.h"
#include "travel/resolve.h"
#include "travel/settings.h"
#include "travel/lsn_lease.h"

namespace strata::travel {

namespace {

Moment current;
Moment requested;
Oid present_database_tablespace = InvalidOid;
bool present_read_only = false;
bool exit_callback_registered = false;
// The last switch was put off because a procedure or DO block is running.
bool changed_inside_procedure = false;

ExecutorStart_hook_type previous_executor_start = nullptr;
ExecutorRun_hook_type previous_executor_run = nullptr;
ProcessUtility_hook_type previous_process_utility = nullptr;

// The next process in this one's place is in the present, and so are its parallel workers.
void leave_at_exit(int, Datum) {
  release_virtual_tablespaces();
  publish_moment(Moment{});
}

void install_travel_seams(bool travel) {
  install_storage_seams(travel);
  install_visibility_seams(travel);
  install_catalog_seams(travel);
  install_function_seams(travel);
  install_lock_seams(travel);
  install_error_seams(travel);
  install_counter_seams(travel);
  install_rights_seams(travel);
  install_refusals(travel);
  install_code_seams(travel);
  install_size_functions(travel);
  install_multixact_functions(travel);
  install_standby_functions(travel);
  install_temporary_file_seams(travel);
}

bool has_stored_value(const char* setting) {
  const auto* variable = get_config_handle(setting);
  return variable != nullptr && is_stored(variable->source);
}

}  // namespace

void tell_superuser() {
  if (!current.superuser || IsParallelWorker()) return;
  if (!has_stored_value(kTimeSetting) && !has_stored_value(kLsnSetting)) return;
  ereport(NOTICE, (errmsg("this session travels in time"),
                   errdetail("The session sees the cluster as of %s, as is stored for its database or role.",
                             describe_current_moment()),
                   errhint("SET strata.travel_time = '' (or strata.travel_lsn) goes to the present.")));
}

namespace {

void switch_to(const Moment& moment) {
  const bool leaves_present = current.is_present() && !moment.is_present();
  if (!exit_callback_registered) {
    before_shmem_exit(leave_at_exit, 0);
    exit_callback_registered = true;
  }
  if (current.is_present()) {
    if (MyDatabaseId != InvalidOid) present_database_tablespace = MyDatabaseTableSpace;
    present_read_only = XactReadOnly;
  }
  release_virtual_tablespaces();
  forget_catalog_caches();
  current = moment;
  publish_moment(moment);
  take_lease(moment.lsn);
  MyDatabaseTableSpace = moment.is_present() ? present_database_tablespace : moment.database_tablespace;
  install_travel_seams(!moment.is_present());
  if (moment.is_present()) enter_present_database();
  if (IsTransactionState()) XactReadOnly = moment.is_present() ? present_read_only : true;
  drop_caches_at_switch();
  report_read_only();
  if (travelling()) let_go_of_database();
  if (leaves_present) tell_superuser();
}

// A parallel worker goes where its leader is, once it is connected and before its transaction starts.
void adopt_leaders_moment() {
  if (!InitializingParallelWorker || !IsNormalProcessingMode()) return;
  requested = published_moment(ParallelLeaderProcNumber);
}

// A parallel worker in the past has never been in the present's database.
bool can_clean_up_in_present() {
  return current.is_present() || (!IsParallelWorker() && !current.database_gone && hold_database());
}

void start_transaction_command() {
  // A session that exits cleans up in the present.
  if (proc_exit_inprogress) requested = can_clean_up_in_present() ? Moment{} : current;
  if (!proc_exit_inprogress) settle_before_transaction();
  adopt_leaders_moment();
  if (requested == current) {
    withdraw_announcement();
    if (travelling()) let_go_of_database();
  } else if (!IsTransactionOrTransactionBlock()) {
    switch_to_requested();
  }
  strata_real_StartTransactionCommand();
  if (!proc_exit_inprogress) settle_in_transaction();
  if (requested != current) switch_to_requested();
}

// The first report says what the session is that the client's options and stored settings have asked for. libpq decides
// by it whether to stay (target_session_attrs).
void begin_reporting_settings() {
  if (requested != current) switch_to_requested();
  strata_real_BeginReportingGUCOptions();
}

// Before the client is told that the session is idle: a moment that has come back with the end of a transaction is
// where the next statement runs, and what is reported must be of it. An empty transaction goes there.
void report_changed_settings() {
  if (is_client_session() && IsNormalProcessingMode() && !IsTransactionOrTransactionBlock() &&
      asks_for_another_moment()) {
    StartTransactionCommand();
    CommitTransactionCommand();
  }
  strata_real_ReportChangedGUCOptions();
}

[[noreturn]] void raise_pending_change() {
  if (changed_inside_procedure) {
    ereport(ERROR,
            (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
             errmsg("the moment that the session travels to was changed inside a procedure or DO block"),
             errdetail("Until it ends, its variables have the types of the moment at which it began."),
             errhint("Set the moment before CALL or DO, or end the procedure or DO block before the next query.")));
  }
  ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                  errmsg("the moment that the session travels to was changed after the transaction's first query"),
                  errdetail("The change takes effect with the next transaction."),
                  errhint("End this transaction before the next query.")));
  pg_unreachable();
}

void executor_start(QueryDesc* query, int flags) {
  settle();
  if (requested != current) raise_pending_change();
  if (travelling()) require_above_gc_cutoff(current.lsn);
  if (!reads_only_clock_and_settings(query->plannedstmt)) note_reading();
  if (previous_executor_start != nullptr) {
    previous_executor_start(query, flags);
  } else {
    standard_ExecutorStart(query, flags);
  }
}

// set_config() is a change of a setting as SET is.
void executor_run(QueryDesc* query, ScanDirection direction, uint64 count) {
  const std::uint64_t changes = asked_changes();
  if (previous_executor_run != nullptr) {
    previous_executor_run(query, direction, count);
  } else {
    standard_ExecutorRun(query, direction, count);
  }
  if (asked_changes() != changes) settle();
}

// A function with a setting of its own would be at two moments in one query.
void refuse_moment_of_function(const List* options) {
  ListCell* cell = nullptr;
  foreach (cell, options) {
    const auto* option = lfirst_node(DefElem, cell);
    if (option->arg == nullptr || !IsA(option->arg, VariableSetStmt)) continue;
    const auto* set = reinterpret_cast<const VariableSetStmt*>(option->arg);
    if (set->name == nullptr || (set->kind != VAR_SET_VALUE && set->kind != VAR_SET_CURRENT)) continue;
    if (std::strcmp(set->name, kTimeSetting) != 0 && std::strcmp(set->name, kLsnSetting) != 0) continue;
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("a function cannot have a moment of its own (parameter \"%s\")", set->name),
                    errdetail("One query sees one moment."),
                    errhint("Travel in the session that calls the function, before the query.")));
  }
}

bool may_run_with_pending_change(const Node* statement) {
  switch (nodeTag(statement)) {
    case T_TransactionStmt:
    case T_VariableSetStmt:
    case T_VariableShowStmt:
    case T_DiscardStmt:
    case T_DeallocateStmt:
    case T_ClosePortalStmt:
      return true;
    case T_AlterRoleSetStmt:
    case T_AlterDatabaseSetStmt:
      // These take back a stored moment that cannot be reached.
      return is_unsettled() && !travelling();
    default:
      return false;
  }
}

void process_utility(PlannedStmt* planned, const char* text, bool read_only_tree, ProcessUtilityContext context,
                     ParamListInfo parameters, QueryEnvironment* environment, DestReceiver* destination,
                     QueryCompletion* completion) {
  const Node* statement = planned->utilityStmt;
  if (!may_run_with_pending_change(statement)) {
    settle();
    if (requested != current) raise_pending_change();
    if (travelling()) require_above_gc_cutoff(current.lsn);
    note_reading();
  }
  if (travelling() && IsA(statement, AlterSystemStmt)) PreventCommandIfReadOnly("ALTER SYSTEM");
  if (IsA(statement, CreateFunctionStmt)) {
    refuse_moment_of_function(reinterpret_cast<const CreateFunctionStmt*>(statement)->options);
  } else if (IsA(statement, AlterFunctionStmt)) {
    refuse_moment_of_function(reinterpret_cast<const AlterFunctionStmt*>(statement)->actions);
  }
  const bool sets = IsA(statement, VariableSetStmt) || IsA(statement, DiscardStmt);
  const std::uint64_t changes = asked_changes();

  if (previous_process_utility != nullptr) {
    previous_process_utility(planned, text, read_only_tree, context, parameters, environment, destination, completion);
  } else {
    standard_ProcessUtility(planned, text, read_only_tree, context, parameters, environment, destination, completion);
  }
  if (asked_changes() != changes) settle();
  // SET LOCAL, and SET before other statements of one query string, take effect at once.
  if (sets && requested != current && context <= PROCESS_UTILITY_QUERY_NONATOMIC) switch_to_requested();
}

}  // namespace

const Moment& current_moment() { return current; }
const Moment& requested_moment() { return requested; }

Oid database_tablespace_of_present() {
  return current.is_present() ? MyDatabaseTableSpace : present_database_tablespace;
}

void request_moment(const Moment& moment) {
  if (IsParallelWorker()) return;
  requested = moment;
}

void switch_to_requested() {
  changed_inside_procedure = SPI_inside_nonatomic_context();
  if (changed_inside_procedure) return;
  if (IsTransactionOrTransactionBlock()) {
    if (!IsTransactionState() || IsSubTransaction() || has_read_moment() || HaveRegisteredOrActiveSnapshot()) return;
    InvalidateCatalogSnapshot();
  }
  if (MyDatabaseId == InvalidOid || !IsNormalProcessingMode()) return;
  switch_to(requested);
}

void switch_while_connecting(const Moment& moment) {
  Assert(MyDatabaseId == InvalidOid && IsTransactionState() && current.is_present());
  requested = moment;
  switch_to(moment);
}

void note_database_of_present(Oid tablespace) { present_database_tablespace = tablespace; }

void install_session_hooks() {
  install_connection_seams();
  install_database_hold_seams();
  strata_seams.StartTransactionCommand = start_transaction_command;
  strata_seams.BeginReportingGUCOptions = begin_reporting_settings;
  strata_seams.ReportChangedGUCOptions = report_changed_settings;
  previous_executor_start = ExecutorStart_hook;
  ExecutorStart_hook = executor_start;
  previous_executor_run = ExecutorRun_hook;
  ExecutorRun_hook = executor_run;
  previous_process_utility = ProcessUtility_hook;
  ProcessUtility_hook = process_utility;
  install_permanent_storage_seams();
  install_tablespace_check();
  install_code_hooks();
  install_door();
}

}  // namespace strata::travel
