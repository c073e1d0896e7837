#include "travel/settings.h"

extern "C" {
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "catalog/pg_parameter_acl.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/miscnodes.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/guc_hooks.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
}

#include <cstring>

#include "pg/lsn_format.h"
#include "travel/connection.h"
#include "travel/door.h"
#include "travel/session.h"

namespace strata::travel {

namespace {

char* travel_time = nullptr;
char* travel_lsn = nullptr;

bool traveller = false;
// Whether this traveller is being sent to `ordered`.
bool under_orders = false;
Moment ordered;

TimestampTz hard_parsed_time(const char* text) {
  return DatumGetTimestampTz(
      DirectFunctionCall3(timestamptz_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

bool soft_parsed(PGFunction input, const char* text, Datum* result) {
  ErrorSaveContext errors = {};
  errors.type = T_ErrorSaveContext;
  return DirectInputFunctionCallSafe(input, const_cast<char*>(text), InvalidOid, -1,
                                     reinterpret_cast<fmNodePtr>(&errors), result);
}

// An interval that does not lie in the future, counted from the start of the transaction as 'now' is. A number alone
// says no unit.
bool parse_relative_time(const char* text, TimestampTz* time) {
  Datum interval = 0;
  const bool has_unit = std::strpbrk(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:") != nullptr;
  if (!has_unit || !soft_parsed(interval_in, text, &interval)) return false;
  const TimestampTz now = GetCurrentTransactionStartTimestamp();
  *time = DatumGetTimestampTz(DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(now), interval));
  if (*time > now) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("interval \"%s\" does not lie in the past", text),
                    errhint("Write \"-10 minutes\" or \"10 minutes ago\".")));
  }
  return true;
}

// A setting's text becomes what it asks for, and the text that says the same in any time zone and date style.
const char* parse_time(const char* text, Asked* asked) {
  asked->form = AskedForm::kTime;
  asked->time = time_in_words(text);
  return timestamptz_to_str(asked->time);
}

const char* parse_lsn(const char* text, Asked* asked) {
  asked->form = AskedForm::kLsn;
  asked->lsn = DatumGetLSN(DirectFunctionCall1(pg_lsn_in, CStringGetDatum(text)));
  return psprintf("%X/%X", LSN_FORMAT_ARGS(asked->lsn));
}

// ALTER DATABASE and ALTER ROLE ... SET put others into the past, superusers among them: who does that must have the
// right to travel.
bool may_store(const char* name) {
  if (pg_parameter_aclcheck(name, GetUserId(), ACL_SET) == ACLCHECK_OK) return true;
  GUC_check_errcode(ERRCODE_INSUFFICIENT_PRIVILEGE);
  GUC_check_errmsg("permission denied to store parameter \"%s\"", name);
  GUC_check_errdetail("Who stores a moment for a database or role must have the right to travel.");
  GUC_check_errhint("A superuser may travel, and a role with GRANT SET ON PARAMETER %s.", name);
  return false;
}

// Whether a process of this kind may be asked to travel by this setting at all.
bool may_be_asked(const char* name, const char* text, GucSource source) {
  if (traveller && !under_orders && !InitializingParallelWorker && source >= PGC_S_INTERACTIVE) {
    GUC_check_errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE);
    GUC_check_errmsg("a query that is run at another moment cannot travel in time itself");
    GUC_check_errhint("strata.query_at() in the query reaches other moments.");
    return false;
  }
  if (text[0] == '\0') return true;
  if (source == PGC_S_FILE || source == PGC_S_ARGV || source == PGC_S_ENV_VAR) {
    GUC_check_errmsg("parameter \"%s\" can be set only for sessions, databases and roles", name);
    return false;
  }
  const bool in_force = !is_stored(source) && source != PGC_S_TEST;
  if (in_force && !is_client_session() && !traveller && !IsParallelWorker()) {
    GUC_check_errcode(ERRCODE_FEATURE_NOT_SUPPORTED);
    GUC_check_errmsg("only an ordinary client session can travel in time");
    return false;
  }
  return true;
}

// What a traveller's setting asks for: where it is sent. Those among the settings of a session that travels itself are
// not where it goes.
void follow_orders(Asked* asked) {
  if (!under_orders) return;
  asked->form = AskedForm::kLsn;
  asked->lsn = ordered.lsn;
  asked->moment = ordered;
  asked->resolved = true;
}

bool replace(char** value, const char* text) {
  char* copy = guc_strdup(LOG, text);
  if (copy == nullptr) return false;
  guc_free(*value);
  *value = copy;
  return true;
}

// Only parses: every condition lies in the door. What is set at connection is parsed there as well, in the time zone
// and date style that the session has when it is connected.
bool check(const char* name, char** value, void** extra, GucSource source, const char* (*parse)(const char*, Asked*)) {
  Asked asked;
  asked.source = source;
  if (!may_be_asked(name, *value, source)) return false;
  if (**value == '\0') {
    // The present.
  } else if (traveller) {
    follow_orders(&asked);
  } else if (IsParallelWorker() || (!IsNormalProcessingMode() && !settling_at_connection())) {
    asked.form = AskedForm::kText;
  } else if (!IsTransactionState()) {
    GUC_check_errmsg("parameter \"%s\" cannot be set outside a transaction", name);
    return false;
  } else {
    const char* canonical = parse(*value, &asked);
    if (source == PGC_S_TEST) return may_store(name);
    if (!replace(value, canonical)) return false;
  }
  auto* copy = static_cast<Asked*>(guc_malloc(LOG, sizeof(Asked)));
  if (copy == nullptr) return false;
  *copy = asked;
  *extra = copy;
  return true;
}

bool check_travel_time(char** value, void** extra, GucSource source) {
  return check(kTimeSetting, value, extra, source, parse_time);
}

bool check_travel_lsn(char** value, void** extra, GucSource source) {
  return check(kLsnSetting, value, extra, source, parse_lsn);
}

void assign_travel_time(const char*, void* extra) { ask_by_time(static_cast<Asked*>(extra)); }
void assign_travel_lsn(const char*, void* extra) { ask_by_lsn(static_cast<Asked*>(extra)); }

bool is_set_at_start(const char* name) {
  const char* value = GetConfigOptionResetString(name);
  return value != nullptr && value[0] != '\0';
}

}  // namespace

TimestampTz time_in_words(const char* text) {
  Datum parsed = 0;
  TimestampTz time = 0;
  if (soft_parsed(timestamptz_in, text, &parsed)) return DatumGetTimestampTz(parsed);
  return parse_relative_time(text, &time) ? time : hard_parsed_time(text);
}

const char* describe_current_moment() {
  const Moment& moment = current_moment();
  if (moment.time != 0) {
    return psprintf("%s (LSN %X/%X)", timestamptz_to_str(moment.time), LSN_FORMAT_ARGS(moment.lsn));
  }
  return psprintf("%X/%X (LSN %X/%X)", LSN_FORMAT_ARGS(moment.lsn), LSN_FORMAT_ARGS(moment.lsn));
}

const char* describe_way_back() {
  if (database_is_gone()) return "The present has no such database: connect to another one without a moment.";
  for (const char* name : {kTimeSetting, kLsnSetting}) {
    if (!is_set_at_start(name)) continue;
    // Not everybody can SET: tools with a connection of their own read PGOPTIONS, which beat what is stored.
    return psprintf(
        "SET %s = '' returns to the present; RESET goes to the moment of the session's start. A session with "
        "PGOPTIONS=\"-c %s=\" begins there.",
        name, name);
  }
  return "RESET strata.travel_time (or strata.travel_lsn) returns to the present.";
}

void become_traveller() { traveller = true; }

bool is_traveller() { return traveller; }

void travel_as_ordered(XLogRecPtr lsn, bool superuser) {
  Assert(traveller);
  ordered = lease_ordered_moment(lsn, superuser);
  under_orders = true;
  PG_TRY();
  {
    SetConfigOption(kTimeSetting, "", PGC_USERSET, PGC_S_SESSION);
    SetConfigOption(kLsnSetting, ordered.is_present() ? "" : psprintf("%X/%X", LSN_FORMAT_ARGS(lsn)), PGC_USERSET,
                    PGC_S_SESSION);
  }
  PG_FINALLY();
  { under_orders = false; }
  PG_END_TRY();
  settle();
  switch_to_requested();
}

void define_travel_settings() {
  DefineCustomStringVariable(kTimeSetting, "The moment in time at which the session sees the cluster.",
                             "A timestamp with time zone, or an interval that lies in the past. Empty: the present.",
                             &travel_time, "", PGC_USERSET, GUC_DISALLOW_IN_FILE | GUC_REPORT, check_travel_time,
                             assign_travel_time, nullptr);
  DefineCustomStringVariable(kLsnSetting, "The WAL position at which the session sees the cluster.",
                             "A pg_lsn. Empty: the present.", &travel_lsn, "", PGC_USERSET,
                             GUC_DISALLOW_IN_FILE | GUC_REPORT, check_travel_lsn, assign_travel_lsn, nullptr);
}

}  // namespace strata::travel
