#include "travel/settings.h"

extern "C" {
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_parameter_acl.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_hooks.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

#include "pg/lsn_format.h"
#include "travel/connection.h"
#include "travel/database.h"
#include "travel/present_functions.h"
#include "travel/present_roles.h"
#include "travel/resolve.h"
#include "travel/session.h"

namespace strata::travel {

namespace {

char* travel_time = nullptr;
char* travel_lsn = nullptr;
// What each setting asks for; at most one is not the present.
Moment asked_by_time;
Moment asked_by_lsn;
// The role that was allowed to travel when the session left the present: rights are those of the present.
Oid allowed_role = InvalidOid;

constexpr const char* kTimeName = kTimeSetting;
constexpr const char* kLsnName = kLsnSetting;

bool traveller = false;
// Whether this traveller is being sent to `ordered`.
bool under_orders = false;
Moment ordered;

[[noreturn]] void raise_too_late(const char* name) {
  ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                  errmsg("parameter \"%s\" must be set before any query of the transaction", name),
                  errhint("Set it as the first statement of a transaction, or outside of one.")));
  pg_unreachable();
}

void require_permission(const char* name) {
  const Oid role = GetUserId();
  if (travelling()) {
    if (role == allowed_role) return;
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to set parameter \"%s\"", name),
                    errdetail("The right to travel is checked in the present."),
                    errhint("RESET %s before changing the role.", name)));
  }
  if (pg_parameter_aclcheck(name, role, ACL_SET) != ACLCHECK_OK) {
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to set parameter \"%s\"", name),
                    errhint("A superuser may travel, and a role with GRANT SET ON PARAMETER %s.", name)));
  }
  allowed_role = role;
}

void require_switchable_transaction(const char* name, GucSource source) {
  if (source != PGC_S_SESSION) return;
  if (IsSubTransaction() || (FirstSnapshotSet && IsTransactionBlock())) raise_too_late(name);
  if (TransactionIdIsValid(GetTopTransactionIdIfAny())) raise_too_late(name);
  if (session_has_temporary_tables()) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("cannot travel in a session that has temporary tables"),
                    errhint("Drop them (DISCARD TEMP), or travel in another session.")));
  }
}

// Only a client's session travels: others that meet the setting (autovacuum in a database with ALTER DATABASE ... SET)
// stay in the present.
bool is_client_session() { return MyBackendType == B_BACKEND; }

XLogRecPtr parse_and_resolve_time(const char* text) {
  const TimestampTz time = DatumGetTimestampTz(
      DirectFunctionCall3(timestamptz_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
  return resolve_time(time);
}

XLogRecPtr parse_and_resolve_lsn(const char* text) {
  return resolve_lsn(DatumGetLSN(DirectFunctionCall1(pg_lsn_in, CStringGetDatum(text))));
}

Moment find_moment(const char* name, const char* other_name, const char* other_value, const char* text,
                   XLogRecPtr (*resolve)(const char*), GucSource source) {
  if (other_value != nullptr && other_value[0] != '\0') {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("cannot set \"%s\" while \"%s\" is set", name, other_name),
                    errhint("RESET %s first.", other_name)));
  }
  require_permission(name);
  require_switchable_transaction(name, source);
  Moment moment;
  moment.lsn = resolve(text);
  claim_moment(moment.lsn);
  moment.counters = counters_at(moment.lsn);
  moment.superuser = travelling() ? current_moment().superuser : note_role_of_present();
  if (!travelling()) note_functions_of_present();
  moment.database_tablespace = database_tablespace_at(MyDatabaseId, moment.lsn);
  moment.database_gone = database_is_gone();
  return moment;
}

Moment find_ordered_moment(XLogRecPtr lsn, bool superuser) {
  Moment moment;
  if (lsn == InvalidXLogRecPtr) return moment;
  moment.lsn = lsn;
  claim_moment(lsn);
  moment.counters = counters_at(lsn);
  moment.superuser = superuser;
  if (!travelling()) note_functions_of_present();
  moment.database_tablespace = database_tablespace_at(MyDatabaseId, lsn);
  return moment;
}

// Settings stored for a database or role must never keep anyone from connecting: there an error becomes a warning, as
// for any other setting, and the session starts in the present.
bool is_stored_setting(GucSource source) {
  return source == PGC_S_GLOBAL || source == PGC_S_DATABASE || source == PGC_S_USER || source == PGC_S_DATABASE_USER;
}

// ALTER DATABASE and ALTER ROLE ... SET put others into the past, superusers among them: who does that must have the
// right to travel.
bool may_store(const char* name) {
  if (pg_parameter_aclcheck(name, GetUserId(), ACL_SET) == ACLCHECK_OK) return true;
  GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
  GUC_check_errmsg("permission denied to store parameter \"%s\"", name);
  GUC_check_errdetail("Who stores a moment for a database, role or function must have the right to travel.");
  GUC_check_errhint("A superuser may travel, and a role with GRANT SET ON PARAMETER %s.", name);
  return false;
}

bool find_moment_or_explain(const char* name, const char* other_name, const char* other_value, const char* text,
                            XLogRecPtr (*resolve)(const char*), GucSource source, Moment* moment) {
  MemoryContext context = CurrentMemoryContext;
  volatile bool found = true;
  PG_TRY();
  { *moment = find_moment(name, other_name, other_value, text, resolve, source); }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    ErrorData* error = CopyErrorData();
    if (error->sqlerrcode == ERRCODE_QUERY_CANCELED || error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN) PG_RE_THROW();
    FlushErrorState();
    GUC_check_errcode(error->sqlerrcode);
    GUC_check_errmsg("%s", error->message);
    if (error->detail != nullptr) GUC_check_errdetail("%s", error->detail);
    GUC_check_errhint("The session starts in the present.");
    found = false;
  }
  PG_END_TRY();
  return found;
}

bool check(const char* name, const char* other_name, const char* other_value, char** value, void** extra,
           GucSource source, XLogRecPtr (*resolve)(const char*)) {
  Moment moment;
  const char* text = *value;
  if (traveller && !under_orders && !InitializingParallelWorker && source >= PGC_S_INTERACTIVE) {
    GUC_check_errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
    GUC_check_errmsg("a query that is run at another moment cannot travel in time itself");
    GUC_check_errhint("strata.query_at() in the query reaches other moments.");
    return false;
  }
  if (text[0] != '\0') {
    if (source == PGC_S_FILE || source == PGC_S_ARGV || source == PGC_S_ENV_VAR) {
      GUC_check_errmsg("parameter \"%s\" can be set only for sessions, databases and roles", name);
      return false;
    }
    if (source == PGC_S_TEST) return may_store(name);
    if (IsParallelWorker() || connecting_to_past()) {
      moment = current_moment();
    } else if (under_orders) {
      moment = ordered;
    } else if (is_client_session()) {
      if (!IsTransactionState()) {
        GUC_check_errmsg("parameter \"%s\" cannot be set outside a transaction", name);
        return false;
      }
      if (!is_stored_setting(source)) {
        moment = find_moment(name, other_name, other_value, text, resolve, source);
      } else if (!find_moment_or_explain(name, other_name, other_value, text, resolve, source, &moment)) {
        return false;
      }
    } else if (traveller && InitializingParallelWorker) {
      // Among the settings of a session that travels itself: they are not where this process goes.
    } else if (!is_stored_setting(source)) {
      GUC_check_errcode(ERRCODE_FEATURE_NOT_SUPPORTED);
      GUC_check_errmsg("only an ordinary client session can travel in time");
      return false;
    }
  }
  if (text[0] == '\0' && database_is_gone() && source == PGC_S_SESSION) {
    GUC_check_errcode(ERRCODE_UNDEFINED_DATABASE);
    GUC_check_errmsg("the database that the session is connected to is not in the present");
    GUC_check_errdetail("It has been dropped since %s.", describe_current_moment());
    GUC_check_errhint("Connect to another database without a moment, or set another moment here.");
    return false;
  }
  auto* copy = static_cast<Moment*>(guc_malloc(LOG, sizeof(Moment)));
  if (copy == nullptr) return false;
  *copy = moment;
  *extra = copy;
  return true;
}

void request_what_is_asked() { request_moment(asked_by_time.is_present() ? asked_by_lsn : asked_by_time); }

bool check_travel_time(char** value, void** extra, GucSource source) {
  return check(kTimeName, kLsnName, travel_lsn, value, extra, source, parse_and_resolve_time);
}

bool check_travel_lsn(char** value, void** extra, GucSource source) {
  return check(kLsnName, kTimeName, travel_time, value, extra, source, parse_and_resolve_lsn);
}

void assign_travel_time(const char*, void* extra) {
  asked_by_time = extra != nullptr ? *static_cast<const Moment*>(extra) : Moment{};
  request_what_is_asked();
}

void assign_travel_lsn(const char*, void* extra) {
  asked_by_lsn = extra != nullptr ? *static_cast<const Moment*>(extra) : Moment{};
  request_what_is_asked();
}

}  // namespace

const char* describe_current_moment() {
  const char* text = travel_time != nullptr && travel_time[0] != '\0' ? travel_time : travel_lsn;
  return psprintf("%s (LSN %X/%X)", text != nullptr ? text : "", LSN_FORMAT_ARGS(current_moment().lsn));
}

void require_right_to_travel(const char* setting) { require_permission(setting); }

void become_traveller() { traveller = true; }

bool is_traveller() { return traveller; }

void work_for(Oid role) { allowed_role = role; }

void travel_as_ordered(XLogRecPtr lsn, bool superuser) {
  Assert(traveller);
  ordered = find_ordered_moment(lsn, superuser);
  under_orders = true;
  PG_TRY();
  {
    SetConfigOption(kTimeName, "", PGC_USERSET, PGC_S_SESSION);
    SetConfigOption(kLsnName, ordered.is_present() ? "" : psprintf("%X/%X", LSN_FORMAT_ARGS(lsn)), PGC_USERSET,
                    PGC_S_SESSION);
  }
  PG_FINALLY();
  { under_orders = false; }
  PG_END_TRY();
  switch_to_requested();
}

void define_travel_settings() {
  DefineCustomStringVariable(kTimeName, "The moment in time at which the session sees the cluster.",
                             "A timestamp with time zone. Empty: the present.", &travel_time, "", PGC_USERSET,
                             GUC_DISALLOW_IN_FILE, check_travel_time, assign_travel_time, nullptr);
  DefineCustomStringVariable(kLsnName, "The WAL position at which the session sees the cluster.",
                             "A pg_lsn. Empty: the present.", &travel_lsn, "", PGC_USERSET, GUC_DISALLOW_IN_FILE,
                             check_travel_lsn, assign_travel_lsn, nullptr);
}

}  // namespace strata::travel
