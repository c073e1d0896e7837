// Relation maps in the past, and what else the catalogs need: recovery's answer to "may I write?", no statistics.
extern "C" {
#include "seams_includes.h"

#include "catalog/pg_tablespace.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/rel.h"

#include "seams.h"
}

#include "pg/lsn_format.h"
#include "travel/history.h"
#include "travel/relation_map.h"
#include "travel/session.h"

namespace strata::travel {

namespace {

constexpr int kMaxMappings = 64;

// The layout of pg_filenode.map.
struct MapFile {
  int32 magic;
  int32 count;
  struct {
    Oid relation;
    RelFileNumber filenumber;
  } mappings[kMaxMappings];
  pg_crc32c crc;
};

struct CachedMap {
  XLogRecPtr lsn = InvalidXLogRecPtr;
  Oid tablespace = InvalidOid;
  MapFile file;
};

CachedMap shared_map;
CachedMap local_map;

const MapFile& map_at(bool shared, XLogRecPtr at, Oid tablespace) {
  CachedMap& cached = shared ? shared_map : local_map;
  if (shared) tablespace = GLOBALTABLESPACE_OID;
  if (cached.lsn != at || cached.tablespace != tablespace) {
    cached.lsn = InvalidXLogRecPtr;
    const Oid database = shared ? InvalidOid : MyDatabaseId;
    if (!read_relation_map_at(tablespace, database, at, &cached.file, sizeof(cached.file)) || cached.file.count < 0 ||
        cached.file.count > kMaxMappings) {
      ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                      errmsg("there is no relation map of database %u in tablespace %u at LSN %X/%X", database,
                             tablespace, LSN_FORMAT_ARGS(at))));
    }
    cached.lsn = at;
    cached.tablespace = tablespace;
  }
  return cached.file;
}

RelFileNumber relation_map_oid_to_filenumber(Oid relation, bool shared) {
  return mapped_filenumber_at(relation, shared, current_moment().lsn, MyDatabaseTableSpace);
}

Oid relation_map_filenumber_to_oid(RelFileNumber filenumber, bool shared) {
  const MapFile& map = map_at(shared, current_moment().lsn, MyDatabaseTableSpace);
  for (int i = 0; i < map.count; i++) {
    if (map.mappings[i].filenumber == filenumber) return map.mappings[i].relation;
  }
  return InvalidOid;
}

// The present's maps are files, of a database that may be dropped beside the session. They are read again when it
// returns.
void keep_relation_map_of_present(bool) {}
void keep_relation_maps_of_present() {}

bool recovery_in_progress() { return true; }
bool xlog_insert_allowed() { return false; }

// The session's schema for temporary tables was another session's then.
bool is_own_temporary_schema(Oid) { return false; }

// Relations of the past may be gone: counting their scans would leave entries that nothing ever drops.
void init_no_statistics(Relation relation) {
  if (relation->pgstat_info != nullptr) pgstat_unlink_relation(relation);
  relation->pgstat_enabled = false;
  relation->pgstat_info = nullptr;
}

// The same for functions. A null counter is not counted.
void init_no_function_usage(FunctionCallInfo, PgStat_FunctionCallUsage* usage) { usage->fs = nullptr; }

// What the present counts under an OID of the past is of no use, and may belong to something else. As after recovery,
// there are no statistics of relations and functions.
PgStat_StatTabEntry* no_table_statistics(Oid) { return nullptr; }
PgStat_StatTabEntry* no_table_statistics_ext(bool, Oid) { return nullptr; }
PgStat_TableStatus* no_table_statistics_of_transaction(Oid) { return nullptr; }
PgStat_StatFuncEntry* no_function_statistics(Oid) { return nullptr; }
PgStat_FunctionCounts* no_function_statistics_of_transaction(Oid) { return nullptr; }

}  // namespace

RelFileNumber mapped_filenumber_at(Oid relation, bool shared, XLogRecPtr at, Oid tablespace) {
  const MapFile& map = map_at(shared, at, tablespace);
  for (int i = 0; i < map.count; i++) {
    if (map.mappings[i].relation == relation) return map.mappings[i].filenumber;
  }
  return InvalidRelFileNumber;
}

void install_catalog_seams(bool travel) {
  strata_seams.RelationMapOidToFilenumber = travel ? relation_map_oid_to_filenumber : nullptr;
  strata_seams.RelationMapFilenumberToOid = travel ? relation_map_filenumber_to_oid : nullptr;
  strata_seams.RelationMapInvalidate = travel ? keep_relation_map_of_present : nullptr;
  strata_seams.RelationMapInvalidateAll = travel ? keep_relation_maps_of_present : nullptr;
  strata_seams.RecoveryInProgress = travel ? recovery_in_progress : nullptr;
  strata_seams.isTempOrTempToastNamespace = travel ? is_own_temporary_schema : nullptr;
  strata_seams.XLogInsertAllowed = travel ? xlog_insert_allowed : nullptr;
  strata_seams.pgstat_init_relation = travel ? init_no_statistics : nullptr;
  strata_seams.pgstat_init_function_usage = travel ? init_no_function_usage : nullptr;
  strata_seams.pgstat_fetch_stat_tabentry = travel ? no_table_statistics : nullptr;
  strata_seams.pgstat_fetch_stat_tabentry_ext = travel ? no_table_statistics_ext : nullptr;
  strata_seams.find_tabstat_entry = travel ? no_table_statistics_of_transaction : nullptr;
  strata_seams.pgstat_fetch_stat_funcentry = travel ? no_function_statistics : nullptr;
  strata_seams.find_funcstat_entry = travel ? no_function_statistics_of_transaction : nullptr;
}

void forget_catalog_caches() {
  shared_map.lsn = InvalidXLogRecPtr;
  local_map.lsn = InvalidXLogRecPtr;
}

}  // namespace strata::travel
