// Code of the moment. What it does to the cluster's data is reading, and PostgreSQL's own rules say what it may read.
// Two things reach beyond: code in C and in untrusted languages runs with the power of the server's process, in today's
// libraries; and a function could take the session back to the present, where it would go on.
extern "C" {
#include "seams_includes.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "varatt.h"

#include "seams.h"
}

#include <cstring>

#include "pg/lsn_format.h"
#include "travel/door.h"
#include "travel/present_functions.h"
#include "travel/rights.h"
#include "travel/session.h"
#include "travel/settings.h"

namespace strata::travel {

namespace {

object_access_hook_type previous_object_access = nullptr;
needs_fmgr_hook_type previous_needs_fmgr_hook = nullptr;
fmgr_hook_type previous_fmgr_hook = nullptr;
ExecutorRun_hook_type previous_executor_run = nullptr;

// Calls under way of functions that could change the moment, and runs of the executor, begun while travelling.
int calls = 0;
int runs = 0;

// Code in C and of the server itself, and what a language without TRUSTED runs, is bound by no rights.
struct Code {
  bool untrusted;
  Oid handler;  // of the language; InvalidOid where there is none
};

Code code_of(const FormData_pg_proc* function) {
  switch (function->prolang) {
    case INTERNALlanguageId:
    case ClanguageId:
      return {true, InvalidOid};
    case SQLlanguageId:
      return {false, InvalidOid};
    default:
      break;
  }
  const HeapTuple row = SearchSysCache1(LANGOID, ObjectIdGetDatum(function->prolang));
  if (!HeapTupleIsValid(row)) return {true, InvalidOid};
  const auto* language = reinterpret_cast<Form_pg_language>(GETSTRUCT(row));
  const Code code{!language->lanpltrusted, language->lanplcallfoid};
  ReleaseSysCache(row);
  return code;
}

[[noreturn]] void raise_not_of_present(Oid function, const char* why) {
  ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                  errmsg("permission denied for function %s while travelling in time", format_procedure(function)),
                  errdetail("Its code is bound by no rights, and %s. The session sees the cluster as of %s.", why,
                            describe_current_moment()),
                  errhint("Superusers of that moment and of the present may execute it.")));
  pg_unreachable();
}

// Raises an ERROR unless the function's code is bound by the rights of the moment, or the same code is run by the same
// function in the present. executes: whether the right to execute it is needed, in the present too.
void require_function_of_present(Oid function, bool executes) {
  if (function < FirstUnpinnedObjectId) return;
  const HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return;
  const Code code = code_of(reinterpret_cast<Form_pg_proc>(GETSTRUCT(row)));
  if (code.untrusted && !superuser_then_and_now(GetUserId())) {
    if (!same_function_now(row)) {
      raise_not_of_present(function, "the present has no such function with the same definition");
    }
    if (executes && !may_execute_now(function, GetUserId())) {
      raise_not_of_present(function, "the present does not grant EXECUTE on it");
    }
  }
  ReleaseSysCache(row);
  if (OidIsValid(code.handler)) require_function_of_present(code.handler, false);
}

void object_access(ObjectAccessType access, Oid class_id, Oid object, int sub, void* argument) {
  if (previous_object_access != nullptr) previous_object_access(access, class_id, object, sub, argument);
  if (access == OAT_FUNCTION_EXECUTE && travelling()) require_function_of_present(object, true);
}

bool contains(HeapTuple row, int column, const char* pattern) {
  bool is_null = false;
  const Datum value = SysCacheGetAttr(PROCOID, row, static_cast<AttrNumber>(column), &is_null);
  return !is_null && strcasestr(TextDatumGetCString(value), pattern) != nullptr;
}

// Whether a function could set the moment. SQL functions that cannot are left alone, so that they are inlined as in the
// present.
bool could_change_moment(Oid function) {
  const HeapTuple row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
  if (!HeapTupleIsValid(row)) return false;
  const auto* form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  bool could = form->prolang != INTERNALlanguageId && form->prolang != ClanguageId;
  if (form->prolang == SQLlanguageId) {
    could = form->prokind != PROKIND_FUNCTION || contains(row, Anum_pg_proc_prosrc, "set_config") ||
            contains(row, Anum_pg_proc_prosrc, "U&") ||
            contains(row, Anum_pg_proc_prosqlbody, psprintf(":funcid %u ", F_SET_CONFIG));
  }
  ReleaseSysCache(row);
  return could;
}

bool needs_hook(Oid function) {
  if (previous_needs_fmgr_hook != nullptr && previous_needs_fmgr_hook(function)) return true;
  if (!travelling() || function < FirstUnpinnedObjectId) return false;
  require_function_of_present(function, false);
  return could_change_moment(function);
}

[[noreturn]] void raise_leaving() {
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("a function or procedure of the past cannot change the moment that the session travels to"),
                  // The setting is not what it was when the session came here.
                  errdetail("The session sees the cluster as of LSN %X/%X.", LSN_FORMAT_ARGS(current_moment().lsn)),
                  is_traveller() ? 0 : errhint("Leave it first. %s", describe_way_back())));
  pg_unreachable();
}

void on_function(FmgrHookEventType event, FmgrInfo* function, Datum* argument) {
  if (travelling()) {
    // The rights to functions with SECURITY DEFINER or SET are not asked for before.
    if (event == FHET_START) require_function_of_present(function->fn_oid, false);
    if (event == FHET_START) calls++;
    if (event != FHET_START && calls > 0) calls--;
    if (event == FHET_END && asks_for_another_moment()) raise_leaving();
  }
  if (previous_fmgr_hook != nullptr) previous_fmgr_hook(event, function, argument);
}

void run(QueryDesc* query, ScanDirection direction, uint64 count) {
  if (previous_executor_run != nullptr) {
    previous_executor_run(query, direction, count);
  } else {
    standard_ExecutorRun(query, direction, count);
  }
}

// A query within a query is one of a function.
void executor_run(QueryDesc* query, ScanDirection direction, uint64 count) {
  if (!travelling()) {
    run(query, direction, count);
    return;
  }
  runs++;
  PG_TRY();
  { run(query, direction, count); }
  PG_FINALLY();
  {
    if (runs > 0) runs--;
  }
  PG_END_TRY();
  if (runs > 0 && asks_for_another_moment()) raise_leaving();
}

// A procedure that ends a transaction goes on in the next one, at the moment that was asked for.
void at_end_of_transaction(XactEvent event, void*) {
  if (event == XACT_EVENT_PRE_COMMIT && calls > 0 && asks_for_another_moment()) raise_leaving();
}

// A path was true for the files of then; now anybody may have put something there.
void* load_function(const char* file, const char* symbol, bool signal_not_found, void** handle) {
  const char* name = std::strncmp(file, "$libdir/", 8) == 0 ? file + 8 : file;
  if (first_dir_separator(name) != nullptr && !superuser_then_and_now(GetUserId())) {
    ereport(ERROR,
            (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
             errmsg("permission denied to load library \"%s\" while travelling in time", file), explain_travel()));
  }
  return strata_real_load_external_function(file, symbol, signal_not_found, handle);
}

}  // namespace

void install_code_seams(bool travel) {
  calls = 0;
  runs = 0;
  strata_seams.load_external_function = travel ? load_function : nullptr;
}

void install_code_hooks() {
  previous_object_access = object_access_hook;
  object_access_hook = object_access;
  previous_needs_fmgr_hook = needs_fmgr_hook;
  needs_fmgr_hook = needs_hook;
  previous_fmgr_hook = fmgr_hook;
  fmgr_hook = on_function;
  previous_executor_run = ExecutorRun_hook;
  ExecutorRun_hook = executor_run;
  RegisterXactCallback(at_end_of_transaction, nullptr);
}

}  // namespace strata::travel
