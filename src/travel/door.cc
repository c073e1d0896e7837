#include "travel/door.h"

extern "C" {
#include "access/xact.h"
#include "catalog/pg_parameter_acl.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
}

#include <cstring>

#include "pg/ingest_wait.h"
#include "travel/connection.h"
#include "travel/counters.h"
#include "travel/database.h"
#include "travel/database_hold.h"
#include "travel/present_functions.h"
#include "travel/present_roles.h"
#include "travel/resolve.h"
#include "travel/session.h"
#include "travel/settings.h"
#include "travel/lsn_lease.h"

namespace strata::travel {

namespace {

Asked* by_time = nullptr;
Asked* by_lsn = nullptr;
std::uint64_t changes = 0;
bool unsettled = false;
bool at_connection = false;
// The role that was allowed to travel when the session left the present: rights are those of the present.
Oid allowed_role = InvalidOid;
// The last transaction that has read something.
LocalTransactionId reading_transaction = InvalidLocalTransactionId;

bool asks(const Asked* asked) { return asked != nullptr && asked->form != AskedForm::kPresent; }

const char* name_of(const Asked* asked) { return asked == by_time ? kTimeSetting : kLsnSetting; }

bool is_permitted(const char* name) {
  if (travelling()) return GetUserId() == allowed_role;
  return pg_parameter_aclcheck(name, GetUserId(), ACL_SET) == ACLCHECK_OK;
}

void require_permission(const char* name) {
  if (!is_permitted(name)) {
    if (travelling()) {
      ereport(ERROR,
              (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to set parameter \"%s\"", name),
               errdetail("The right to travel is checked in the present."),
               errhint("Return to the present before changing the role: SET %s = \'\'.", name)));
    }
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied to set parameter \"%s\"", name),
                    errhint("A superuser may travel, and a role with GRANT SET ON PARAMETER %s.", name)));
  }
  allowed_role = GetUserId();
}

void require_switchable_transaction(const char* name) {
  const bool too_late = (IsSubTransaction() && !at_connection) || (IsTransactionBlock() && has_read_moment()) ||
                        TransactionIdIsValid(GetTopTransactionIdIfAny());
  if (too_late) {
    ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
                    errmsg("parameter \"%s\" must be set before any query of the transaction", name),
                    errdetail("Queries that read nothing but the clock and settings do not count."),
                    errhint("Set it as the first statement of a transaction, or outside of one.")));
  }
  if (session_has_temporary_tables()) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("cannot travel in a session that has temporary tables"),
                    errhint("Drop them (DISCARD TEMP), travel in another session, or SET %s = \'\'.", name)));
  }
}

// Null: the present. Raises an ERROR where both settings ask for a moment.
Asked* what_is_asked() {
  if (!asks(by_time)) return asks(by_lsn) ? by_lsn : nullptr;
  if (!asks(by_lsn)) return by_time;
  const bool lsn_is_newer = by_time->resolved && !by_lsn->resolved;
  const char* name = lsn_is_newer ? kLsnSetting : kTimeSetting;
  const char* other = lsn_is_newer ? kTimeSetting : kLsnSetting;
  ereport(ERROR,
          (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("cannot set \"%s\" while \"%s\" is set", name, other),
           errhint("%s %s%s first.", GetConfigOptionResetString(other)[0] == '\0' ? "RESET" : "SET", other,
                   GetConfigOptionResetString(other)[0] == '\0' ? "" : " = ''")));
  pg_unreachable();
}

// What the past asks of the present later; while travelling it is known from before. Returns whether the session's role
// is a superuser of the present.
bool note_present() {
  if (travelling()) return current_moment().superuser;
  note_functions_of_present();
  return note_role_of_present();
}

void resolve(Asked* asked) {
  Moment moment;
  if (asked->form == AskedForm::kTime) {
    moment.lsn = resolve_time(asked->time);
    moment.time = asked->time;
  } else {
    moment.lsn = resolve_lsn(asked->lsn);
  }
  lease_lsn(moment.lsn);
  moment.counters = counters_at(moment.lsn);
  moment.superuser = note_present();
  moment.database_tablespace = database_tablespace_at(MyDatabaseId, moment.lsn);
  moment.database_gone = database_is_gone();
  asked->moment = moment;
  asked->resolved = true;
}

// The connection has gone to its moment already, to a database of then, which brings no settings. Where the name has a
// database in the present with a zone or date style of its own, the text has two meanings.
void adopt_moment_of_connection(Asked* asked) {
  if (asked->form == AskedForm::kTime && asked->time != current_moment().time) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
             errmsg("parameter \"%s\" has another meaning in the present's database of that name", name_of(asked)),
             errdetail("The database was looked up as of %s.", describe_current_moment()),
             errhint("Give the time with its offset, or TimeZone and DateStyle in the connection's options.")));
  }
  asked->moment = current_moment();
  asked->resolved = true;
  tell_superuser();
}

void enter(Asked* asked) {
  if (travelling() && !IsNormalProcessingMode()) adopt_moment_of_connection(asked);
  // A setting that came back while the session had not left: ROLLBACK TO a savepoint before RESET.
  if (asked->resolved && asked->moment == current_moment()) {
    unsettled = false;
    request_moment(asked->moment);
    return;
  }
  require_permission(name_of(asked));
  require_switchable_transaction(name_of(asked));
  if (!asked->resolved) {
    resolve(asked);
  } else if (asked->moment.lsn != current_moment().lsn) {
    lease_lsn(asked->moment.lsn);
    asked->moment.superuser = note_present();
  }
  unsettled = false;
  request_moment(asked->moment);
}

void return_to_present() {
  if (!return_to_database()) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_DATABASE),
                    errmsg("the database that the session is connected to is not in the present"),
                    errdetail("It has been dropped since %s.", describe_current_moment()),
                    errhint("Connect to another database without a moment, or set another moment here.")));
  }
  unsettled = false;
  request_moment(Moment{});
}

// A date alone may be what a blank has left of a time.
void warn_of_bare_date(const char* given, const char* resolved) {
  if (given[std::strspn(given, "0123456789-/.")] != '\0') return;
  ereport(NOTICE, (errmsg("the session sees the cluster as of %s", resolved),
                   errhint("A blank ends a value in PGOPTIONS: write a T or \"\\ \" between date and time.")));
}

void parse_and_enter(Asked* asked) {
  const char* name = name_of(asked);
  const GucSource source = asked->source;
  if (asked->form == AskedForm::kText) {
    const char* given = pstrdup(GetConfigOption(name, false, false));
    SetConfigOption(name, given, PGC_USERSET, source);
    asked = std::strcmp(name, kTimeSetting) == 0 ? by_time : by_lsn;
    enter(asked);
    if (!is_stored(source) && asked == by_time) warn_of_bare_date(given, GetConfigOption(name, false, false));
    return;
  }
  enter(asked);
}

// A stored setting never keeps anyone from connecting, nor waiting for long. The session starts, but runs no query
// until what it asks for is possible or taken back: the present must not be taken for the past, nor written to instead.
void enter_stored(Asked* asked) {
  MemoryContext context = CurrentMemoryContext;
  ResourceOwner owner = CurrentResourceOwner;
  const char* name = name_of(asked);
  BeginInternalSubTransaction(nullptr);
  pg::set_waiting_for_stored(true);
  PG_TRY();
  {
    parse_and_enter(asked);
    pg::set_waiting_for_stored(false);
    ReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
  }
  PG_CATCH();
  {
    pg::set_waiting_for_stored(false);
    MemoryContextSwitchTo(context);
    ErrorData* error = CopyErrorData();
    if (error->sqlerrcode == ERRCODE_QUERY_CANCELED || error->sqlerrcode == ERRCODE_ADMIN_SHUTDOWN) PG_RE_THROW();
    FlushErrorState();
    RollbackAndReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    unsettled = true;
    ereport(WARNING, (errcode(error->sqlerrcode), errmsg("%s", error->message),
                      error->detail != nullptr ? errdetail("%s", error->detail) : 0,
                      errhint("The session runs no query until SET %s = \'\' or another moment. ALTER ROLE or ALTER "
                              "DATABASE ... RESET %s takes the stored setting back.",
                              name, name)));
  }
  PG_END_TRY();
}

// What the connection itself says beats what is stored.
void drop_weaker() {
  if (!asks(by_time) || !asks(by_lsn) || by_time->source == by_lsn->source) return;
  if (!is_stored(by_time->source) && !is_stored(by_lsn->source)) return;
  SetConfigOption(by_time->source < by_lsn->source ? kTimeSetting : kLsnSetting, "", PGC_USERSET, PGC_S_OVERRIDE);
}

// What a traveller is sent to has been leased, and only orders set it.
void settle_traveller() {
  Assert(!asks(by_time) && (!asks(by_lsn) || by_lsn->resolved));
  if (!asks(by_lsn)) {
    return_to_present();
    return;
  }
  unsettled = false;
  request_moment(by_lsn->moment);
}

void settle_connection() {
  if (!is_client_session()) {
    unsettled = false;
    return;
  }
  at_connection = true;
  drop_weaker();
  Asked* asked = what_is_asked();
  if (asked == nullptr) {
    return_to_present();
  } else if (is_stored(asked->source)) {
    enter_stored(asked);
  } else {
    parse_and_enter(asked);
  }
  at_connection = false;
  // Login event triggers are of the present: they do not fire in the past.
  if (asked != nullptr) MyDatabaseHasLoginEventTriggers = false;
}

// The session is being connected as long as it is not in normal processing; its settings are complete when that
// transaction ends.
void at_transaction_end(XactEvent event, void*) {
  if (event == XACT_EVENT_PRE_COMMIT && unsettled && !IsNormalProcessingMode() && MyDatabaseId != InvalidOid) {
    settle_connection();
  }
}

}  // namespace

void ask_by_time(Asked* asked) {
  by_time = asked;
  ++changes;
  unsettled = true;
}

void ask_by_lsn(Asked* asked) {
  by_lsn = asked;
  ++changes;
  unsettled = true;
}

std::uint64_t asked_changes() { return changes; }
bool is_unsettled() { return unsettled; }

// Others that meet the setting (autovacuum in a database with ALTER DATABASE ... SET) stay in the present.
bool is_client_session() { return MyBackendType == B_BACKEND; }

bool is_stored(GucSource source) {
  return source == PGC_S_GLOBAL || source == PGC_S_DATABASE || source == PGC_S_USER || source == PGC_S_DATABASE_USER;
}

void require_right_to_travel(const char* setting) { require_permission(setting); }
void work_for(Oid role) { allowed_role = role; }

Moment lease_ordered_moment(XLogRecPtr lsn, bool superuser) {
  Moment moment;
  if (lsn == InvalidXLogRecPtr) return moment;
  moment.lsn = lsn;
  lease_lsn(lsn);
  moment.counters = counters_at(lsn);
  moment.superuser = superuser;
  if (!travelling()) note_functions_of_present();
  moment.database_tablespace = database_tablespace_at(MyDatabaseId, lsn);
  return moment;
}

bool asks_for_another_moment() {
  if (!unsettled) return requested_moment() != current_moment();
  if (!asks(by_time) && !asks(by_lsn)) return travelling();
  if (asks(by_time) && asks(by_lsn)) return true;
  const Asked* asked = asks(by_time) ? by_time : by_lsn;
  return !asked->resolved || asked->moment != current_moment();
}

bool settling_at_connection() { return at_connection; }
void note_reading() { reading_transaction = MyProc->vxid.lxid; }
bool has_read_moment() {
  return FirstSnapshotSet && (reading_transaction == MyProc->vxid.lxid || IsolationUsesXactSnapshot());
}

void settle() {
  if (!unsettled) return;
  if (is_traveller()) {
    settle_traveller();
    return;
  }
  if (!is_client_session()) {
    unsettled = false;
    return;
  }
  Asked* asked = what_is_asked();
  if (asked == nullptr) {
    return_to_present();
    return;
  }
  if (asked->form == AskedForm::kText) {
    // What was stored could not be parsed or looked up when the session began.
    at_connection = true;
    PG_TRY();
    { parse_and_enter(asked); }
    PG_FINALLY();
    { at_connection = false; }
    PG_END_TRY();
    return;
  }
  enter(asked);
}

void settle_before_transaction() {
  if (!unsettled || !IsNormalProcessingMode() || asks(by_time) || asks(by_lsn)) return;
  if (!database_is_gone() && hold_database()) return_to_present();
}

void settle_in_transaction() {
  if (!unsettled || !IsNormalProcessingMode() || !IsTransactionState() || IsSubTransaction()) return;
  if (is_traveller()) {
    settle_traveller();
    return;
  }
  if (asks(by_time) == asks(by_lsn)) return;
  Asked* asked = asks(by_time) ? by_time : by_lsn;
  if (!asked->resolved) return;
  if (asked->moment.lsn != current_moment().lsn) {
    if (!is_permitted(name_of(asked)) || session_has_temporary_tables()) return;
    if (!try_lease_lsn(asked->moment.lsn)) return;
    allowed_role = GetUserId();
  }
  unsettled = false;
  request_moment(asked->moment);
}

void install_door() { RegisterXactCallback(at_transaction_end, nullptr); }

}  // namespace strata::travel
