#include "travel/connection.h"

extern "C" {
#include "seams_includes.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/tupdesc.h"
#include "catalog/pg_authid_d.h"
#include "catalog/pg_database.h"
#include "catalog/pg_db_role_setting.h"
#include "catalog/pg_parameter_acl.h"
#include "catalog/pg_tablespace_d.h"
#include "catalog/pg_type_d.h"
#include "common/relpath.h"
#include "fmgr.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/spin.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"

#include "seams.h"
}

#include <cstring>

#include "pg/lsn_format.h"
#include "pg/shared_state.h"
#include "travel/catalog_scan.h"
#include "travel/database.h"
#include "travel/database_hold.h"
#include "travel/door.h"
#include "travel/present_roles.h"
#include "travel/resolve.h"
#include "travel/session.h"
#include "travel/settings.h"
#include "travel/lsn_lease.h"

namespace strata::travel {

namespace {

// Where no database has its directory: PostgreSQL then finds no file of catalog descriptors, which would be those of
// the present.
constexpr const char* kNoDirectory = "base/0";

bool gone = false;
bool present_prepared = true;
Oid tablespace_then = InvalidOid;
Oid database_then = InvalidOid;

// The last value that the client's options give to each setting that decides where the session goes.
struct Options {
  char* time = nullptr;
  char* lsn = nullptr;
  char* zone = nullptr;
  char* style = nullptr;
};
Options options;

void note_option(const char* name, const char* value) {
  const char* text = value != nullptr ? value : "";
  if (pg_strcasecmp(name, kTimeSetting) == 0) options.time = pstrdup(text);
  if (pg_strcasecmp(name, kLsnSetting) == 0) options.lsn = pstrdup(text);
  if (pg_strcasecmp(name, "timezone") == 0) options.zone = pstrdup(text);
  if (pg_strcasecmp(name, "datestyle") == 0) options.style = pstrdup(text);
}

void note_instead_of_setting(const char* name, const char* value, GucContext, GucSource) { note_option(name, value); }

// Reads the startup packet's options as process_startup_options() will, without setting anything.
void read_options(const Port* port) {
  options = Options{};
  if (port->cmdline_options != nullptr) {
    char** arguments = static_cast<char**>(palloc((2 + (std::strlen(port->cmdline_options) + 1) / 2) * sizeof(char*)));
    int count = 0;
    arguments[count++] = pstrdup("postgres");
    pg_split_opts(arguments, &count, port->cmdline_options);
    arguments[count] = nullptr;
    strata_seams.SetConfigOption = note_instead_of_setting;
    PG_TRY();
    { process_postgres_switches(count, arguments, PGC_BACKEND, nullptr); }
    PG_FINALLY();
    { strata_seams.SetConfigOption = nullptr; }
    PG_END_TRY();
  }
  for (int i = 0; i + 1 < list_length(port->guc_options); i += 2) {
    note_option(static_cast<const char*>(list_nth(port->guc_options, i)),
                static_cast<const char*>(list_nth(port->guc_options, i + 1)));
  }
}

bool is_given(const char* text) { return text != nullptr && text[0] != '\0'; }

// Of a descriptor for rows that are read without catalogs. PostgreSQL's own function leaves the alignment of text.
void add_text_array_column(TupleDesc descriptor, AttrNumber number, const char* name) {
  TupleDescInitBuiltinEntry(descriptor, number, name, TEXTARRAYOID, -1, 1);
  TupleDescAttr(descriptor, number - 1)->attalign = TYPALIGN_DOUBLE;
  populate_compact_attribute(descriptor, number - 1);
}

struct RightSearch {
  const char* setting;
  TupleDesc descriptor;
  bool granted;
};

bool is_granted(HeapTuple row, void* context) {
  auto* search = static_cast<RightSearch*>(context);
  bool is_null = false;
  const Datum name = heap_getattr(row, Anum_pg_parameter_acl_parname, search->descriptor, &is_null);
  if (is_null || std::strcmp(TextDatumGetCString(name), search->setting) != 0) return true;
  const Datum acl = heap_getattr(row, Anum_pg_parameter_acl_paracl, search->descriptor, &is_null);
  // An ACL out of line, of hundreds of roles, cannot be read here and gives nobody the right.
  if (is_null || VARATT_IS_EXTERNAL(DatumGetPointer(acl))) return false;
  search->granted =
      aclmask(DatumGetAclP(acl), GetUserId(), BOOTSTRAP_SUPERUSERID, ACL_SET, ACLMASK_ANY) != ACL_NO_RIGHTS;
  return false;
}

// Without a database there is no way to pg_parameter_acl but history as of now.
bool may_travel(const char* setting) {
  if (superuser_arg(GetUserId())) return true;
  RightSearch search{setting, CreateTemplateTupleDesc(Natts_pg_parameter_acl), false};
  TupleDescInitBuiltinEntry(search.descriptor, Anum_pg_parameter_acl_oid, "oid", OIDOID, -1, 0);
  TupleDescInitBuiltinEntry(search.descriptor, Anum_pg_parameter_acl_parname, "parname", TEXTOID, -1, 0);
  // An array of ACL items is found and aligned as one of text.
  add_text_array_column(search.descriptor, Anum_pg_parameter_acl_paracl, "paracl");
  scan_catalog_at(ParameterAclRelationId, true, InvalidOid, newest_lsn_in_history(), is_granted, &search);
  return search.granted;
}

// A setting that is stored, and how much what was found counts.
struct Stored {
  const char* name;
  int rank = -1;
  char* value = nullptr;
};

// Rows of pg_db_role_setting that count for a role in a database.
struct StoredSearch {
  Oid database;
  Oid role;
  TupleDesc descriptor;
  Stored zone = {"timezone"};
  Stored style = {"datestyle"};
  Stored time = {kTimeSetting};
  Stored lsn = {kLsnSetting};
};

bool note_stored(HeapTuple row, void* context) {
  auto* search = static_cast<StoredSearch*>(context);
  const auto* form = reinterpret_cast<Form_pg_db_role_setting>(GETSTRUCT(row));
  if (form->setdatabase != InvalidOid && form->setdatabase != search->database) return true;
  if (form->setrole != InvalidOid && form->setrole != search->role) return true;
  bool is_null = false;
  const Datum settings = heap_getattr(row, Anum_pg_db_role_setting_setconfig, search->descriptor, &is_null);
  if (is_null || VARATT_IS_EXTERNAL(DatumGetPointer(settings))) return true;
  const int rank = (form->setrole != InvalidOid ? 2 : 0) + (form->setdatabase != InvalidOid ? 1 : 0);
  List* names = NIL;
  List* values = NIL;
  TransformGUCArray(DatumGetArrayTypeP(settings), &names, &values);
  for (int i = 0; i < list_length(names); i++) {
    for (Stored* stored : {&search->zone, &search->style, &search->time, &search->lsn}) {
      if (pg_strcasecmp(static_cast<const char*>(list_nth(names, i)), stored->name) != 0 || rank <= stored->rank) {
        continue;
      }
      *stored = Stored{stored->name, rank, static_cast<char*>(list_nth(values, i))};
    }
  }
  return true;
}

// What the present stores for the role and for a database, as of an LSN.
StoredSearch find_stored(Oid database, XLogRecPtr at) {
  StoredSearch search{database, GetUserId(), CreateTemplateTupleDesc(Natts_pg_db_role_setting)};
  TupleDescInitBuiltinEntry(search.descriptor, Anum_pg_db_role_setting_setdatabase, "setdatabase", OIDOID, -1, 0);
  TupleDescInitBuiltinEntry(search.descriptor, Anum_pg_db_role_setting_setrole, "setrole", OIDOID, -1, 0);
  add_text_array_column(search.descriptor, Anum_pg_db_role_setting_setconfig, "setconfig");
  scan_catalog_at(DbRoleSettingRelationId, true, InvalidOid, at, note_stored, &search);
  return search;
}

// Completes the options by the zone and date style that the session will have.
void add_stored_options(Oid database) {
  const StoredSearch search = find_stored(database, newest_lsn_in_history());
  if (options.zone == nullptr) options.zone = search.zone.value;
  if (options.style == nullptr) options.style = search.style.value;
}

// A moment that is stored for the role leads to a database that the present has not. Does not wait for history: most
// names that the present has not are wrong.
void add_stored_moment() {
  SpinLockAcquire(&pg::shared_state->mutex);
  const bool has_history = pg::shared_state->horizon.lsn != kInvalidLsn;
  SpinLockRelease(&pg::shared_state->mutex);
  if (!has_history) return;
  const StoredSearch search = find_stored(InvalidOid, pg::shared_store->visible_lsn());
  if (search.time.rank >= search.lsn.rank) options.time = search.time.value;
  if (search.lsn.rank >= search.time.rank) options.lsn = search.lsn.value;
}

struct PresentDatabase {
  Oid oid = InvalidOid;
  NameData name = {};
  Oid tablespace = InvalidOid;
  bool accepts_connections = false;
};

// The present's database that `matches`, if there is one. Works before the session has a database.
template <class Matches>
PresentDatabase find_in_present(Matches&& matches) {
  PresentDatabase found;
  const Relation databases = table_open(DatabaseRelationId, AccessShareLock);
  const SysScanDesc scan = systable_beginscan(databases, InvalidOid, false, nullptr, 0, nullptr);
  HeapTuple tuple = nullptr;
  while (found.oid == InvalidOid && (tuple = systable_getnext(scan)) != nullptr) {
    const auto* row = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
    if (matches(*row)) {
      found = PresentDatabase{row->oid, row->datname, row->dattablespace,
                              row->datallowconn && row->datconnlimit != DATCONNLIMIT_INVALID_DB};
    }
  }
  systable_endscan(scan);
  table_close(databases, AccessShareLock);
  return found;
}

// The session may go back to a database that the present has: so the present must let it in.
void require_right_to_enter(const PresentDatabase& database, const char* name) {
  if (!database.accepts_connections) {
    ereport(FATAL, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("database \"%s\" is not currently accepting connections", name),
                    errdetail("It has another name in the present, and does not accept connections there.")));
  }
  if (superuser_arg(GetUserId())) return;
  if (object_aclcheck(DatabaseRelationId, database.oid, GetUserId(), ACL_CONNECT) != ACLCHECK_OK) {
    ereport(FATAL, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("permission denied for database \"%s\"", name),
                    errdetail("It has another name in the present, and the user has no CONNECT privilege there.")));
  }
}

// Not earlier than when the switch has been made: an error before it leaves an ordinary connection behind.
void install_seams_of_connecting(bool install);

void go_to(const Moment& moment) {
  present_prepared = false;
  tablespace_then = moment.database_tablespace;
  switch_while_connecting(moment);
  install_seams_of_connecting(true);
}

// For a while: PostgreSQL sets them itself, with the rest of the options and of what is stored.
TimestampTz time_of_options() {
  const int level = NewGUCNestLevel();
  const auto set = [](const char* name, const char* value) {
    if (is_given(value)) {
      set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, ERROR, false);
    }
  };
  set("timezone", options.zone);
  set("datestyle", options.style);
  const TimestampTz time = time_in_words(options.time);
  AtEOXact_GUC(true, level);
  return time;
}

Moment moment_of_options() {
  Moment moment;
  if (is_given(options.time)) {
    moment.time = time_of_options();
    moment.lsn = resolve_time(moment.time);
  } else {
    moment.lsn = resolve_lsn(DatumGetLSN(DirectFunctionCall1(pg_lsn_in, CStringGetDatum(options.lsn))));
  }
  lease_lsn(moment.lsn);
  return moment;
}

// Where the name belonged to another database then, goes there. Else the connection goes on as any other, and meets the
// options later.
void look_up_database_of_then() {
  const char* name = MyProcPort->database_name;
  read_options(MyProcPort);
  const bool asks = options.time != nullptr || options.lsn != nullptr;
  if (asks && is_given(options.time) == is_given(options.lsn)) return;
  const Oid now = find_in_present([&](const FormData_pg_database& row) {
                    return std::strcmp(NameStr(row.datname), name) == 0;
                  }).oid;
  if (!asks && now == InvalidOid) add_stored_moment();
  if (is_given(options.time) == is_given(options.lsn)) return;
  if (!may_travel(is_given(options.time) ? kTimeSetting : kLsnSetting)) return;
  if (is_given(options.time)) add_stored_options(now);
  Moment moment = moment_of_options();
  const DatabaseAt then = database_at(name, moment.lsn);
  const auto is_then = [&](const FormData_pg_database& row) { return row.oid == then.oid; };
  PresentDatabase same = find_in_present(is_then);
  gone = same.oid == InvalidOid || !is_same_database(then.oid, moment.lsn, newest_lsn_in_history());
  // Held until MyProc says which database it is. Who has it drops, renames, moves or copies it, and is not waited for.
  const bool held = !gone && ConditionalLockSharedObject(DatabaseRelationId, then.oid, 0, RowExclusiveLock);
  if (held) {
    same = find_in_present(is_then);
    gone = same.oid == InvalidOid;
  }
  if (held && !gone && std::strcmp(NameStr(same.name), name) == 0) {
    withdraw_announcement();
    return;
  }
  if (then.oid == InvalidOid) {
    ereport(FATAL, (errcode(ERRCODE_UNDEFINED_DATABASE), errmsg("database \"%s\" did not exist then", name),
                    errdetail("The connection is to the cluster as of LSN %X/%X.", LSN_FORMAT_ARGS(moment.lsn)),
                    errhint("Connect to a database that existed at that moment.")));
  }
  moment.counters = counters_at(moment.lsn);
  moment.superuser = note_role_of_present();
  moment.database_tablespace = database_tablespace_at(then.oid, moment.lsn, name);
  if (!gone) require_right_to_enter(same, name);
  moment.database_gone = gone;
  note_database_of_present(gone ? InvalidOid : same.tablespace);
  work_for(GetUserId());
  go_to(moment);
  if (!held) connect_to_taken_database();
}

// The role is known and the database is not yet looked up: of client sessions only.
void after_authentication() {
  strata_real_pgstat_bestart_security();
  if (MyBackendType == B_BACKEND && MyProcPort != nullptr) look_up_database_of_then();
}

// A parallel worker of a leader in the past asks nothing of the present, which may have no such database any more.
void initialize_session_user(const char* role, Oid role_oid, bool bypass_login_check) {
  strata_real_InitializeSessionUserId(role, role_oid, bypass_login_check);
  if (!InitializingParallelWorker) return;
  const Moment moment = published_moment(ParallelLeaderProcNumber);
  if (moment.is_present()) return;
  gone = moment.database_gone;
  note_database_of_present(InvalidOid);
  go_to(moment);
}

// InitPostgres tests whether the database's directory exists, between this call and ValidatePgVersion(): it is shown
// the one directory that every cluster has.
void begin_directory_check() {
  strata_real_InvalidateCatalogSnapshot();
  if (MyDatabaseId == InvalidOid) return;
  database_then = MyDatabaseId;
  MyDatabaseId = InvalidOid;
  MyDatabaseTableSpace = GLOBALTABLESPACE_OID;
}

void end_directory_check(const char*) {
  MyDatabaseId = database_then;
  MyDatabaseTableSpace = tablespace_then;
  strata_seams.InvalidateCatalogSnapshot = nullptr;
}

void set_no_database_path(const char*) { strata_real_SetDatabasePath(kNoDirectory); }

// The present's map of a database is loaded when the session enters the present.
void load_no_relation_map() {}

// It would fill all catalog caches for a file of descriptors that is not written in the past.
void fill_no_catalog_caches() {}

// How many sessions a database has is a question of the present.
int count_no_connections(Oid) { return 0; }

struct SettingSearch {
  Oid role;
  GucSource source;
  TupleDesc descriptor;
};

bool apply_row(HeapTuple row, void* context) {
  const auto* search = static_cast<const SettingSearch*>(context);
  const auto* form = reinterpret_cast<Form_pg_db_role_setting>(GETSTRUCT(row));
  if (form->setdatabase != InvalidOid || form->setrole != search->role) return true;
  bool is_null = false;
  const Datum settings = heap_getattr(row, Anum_pg_db_role_setting_setconfig, search->descriptor, &is_null);
  if (!is_null) ProcessGUCArray(DatumGetArrayTypeP(settings), PGC_SUSET, search->source, GUC_ACTION_SET);
  return false;
}

// The role is one of the present, and so are its settings. A database of then brings none.
void apply_settings_of_present(Snapshot, Oid database, Oid role, Relation relation, GucSource source) {
  if (database != InvalidOid || InitializingParallelWorker) return;
  SettingSearch search{role, source, RelationGetDescr(relation)};
  scan_catalog_at(DbRoleSettingRelationId, true, InvalidOid, newest_lsn_in_history(), apply_row, &search);
}

void after_connecting() {
  install_seams_of_connecting(false);
  finish_connecting_to_taken_database();
  strata_real_pgstat_bestart_final();
}

void install_seams_of_connecting(bool install) {
  strata_seams.InvalidateCatalogSnapshot = install ? begin_directory_check : nullptr;
  strata_seams.ValidatePgVersion = install ? end_directory_check : nullptr;
  strata_seams.SetDatabasePath = install ? set_no_database_path : nullptr;
  strata_seams.RelationMapInitializePhase3 = install ? load_no_relation_map : nullptr;
  strata_seams.InitCatalogCachePhase2 = install ? fill_no_catalog_caches : nullptr;
  strata_seams.CountDBConnections = install ? count_no_connections : nullptr;
  strata_seams.ApplySetting = install ? apply_settings_of_present : nullptr;
  strata_seams.pgstat_bestart_final = install ? after_connecting : nullptr;
}

// What a session counts for a database that is gone goes to the row of shared objects: an entry of its own would never
// be dropped.
PgStat_EntryRef* prep_pending_entry(PgStat_Kind kind, Oid database, uint64 object, bool* created) {
  if (kind == PGSTAT_KIND_DATABASE && database == MyDatabaseId && database_was_taken()) database = InvalidOid;
  return strata_real_pgstat_prep_pending_entry(kind, database, object, created);
}

void prepare_report_checksum_failure(Oid database) {
  if (database != MyDatabaseId || !database_was_taken()) strata_real_pgstat_prepare_report_checksum_failure(database);
}

}  // namespace

bool database_is_gone() { return gone; }

bool return_to_database() {
  if (gone) return false;
  if (hold_database()) return true;
  Oid tablespace = InvalidOid;
  gone = !reclaim_database(&tablespace);
  if (gone) return false;
  note_database_of_present(tablespace);
  present_prepared = false;
  return true;
}

void enter_present_database() {
  if (present_prepared) return;
  Assert(!gone);
  pfree(DatabasePath);
  char* path = GetDatabasePath(MyDatabaseId, MyDatabaseTableSpace);
  DatabasePath = MemoryContextStrdup(TopMemoryContext, path);
  pfree(path);
  strata_real_RelationMapInitializePhase3();
  present_prepared = true;
}

void install_connection_seams() {
  strata_seams.pgstat_bestart_security = after_authentication;
  strata_seams.InitializeSessionUserId = initialize_session_user;
  strata_seams.pgstat_prep_pending_entry = prep_pending_entry;
  strata_seams.pgstat_prepare_report_checksum_failure = prepare_report_checksum_failure;
}

}  // namespace strata::travel
