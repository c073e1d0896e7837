// pg_relation_size() and its sisters, which read files in the present, answered from the store.
extern "C" {
#include "seams_includes.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_tablespace.h"
#include "commands/dbcommands.h"
#include "catalog/pg_database.h"
#include "commands/tablespace.h"
#include "common/relpath.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "seams.h"
}

#include "catalog/pg_authid_d.h"
#include "travel/history.h"
#include "travel/session.h"

namespace strata::travel {

namespace {

int64 fork_bytes(Relation relation, ForkNumber fork) {
  const BlockNumber blocks = nblocks_at(relation->rd_locator, fork, current_moment().lsn);
  return blocks == InvalidBlockNumber ? 0 : static_cast<int64>(blocks) * BLCKSZ;
}

int64 all_forks_bytes(Relation relation) {
  int64 bytes = 0;
  for (int fork = 0; fork <= MAX_FORKNUM; fork++) bytes += fork_bytes(relation, static_cast<ForkNumber>(fork));
  return bytes;
}

int64 indexes_bytes(Relation relation) {
  if (!relation->rd_rel->relhasindex) return 0;
  int64 bytes = 0;
  List* indexes = RelationGetIndexList(relation);
  ListCell* cell = nullptr;
  foreach (cell, indexes) {
    const Relation index = relation_open(lfirst_oid(cell), AccessShareLock);
    bytes += all_forks_bytes(index);
    relation_close(index, AccessShareLock);
  }
  list_free(indexes);
  return bytes;
}

int64 table_bytes(Relation relation) {
  int64 bytes = all_forks_bytes(relation);
  if (OidIsValid(relation->rd_rel->reltoastrelid)) {
    const Relation toast = relation_open(relation->rd_rel->reltoastrelid, AccessShareLock);
    bytes += all_forks_bytes(toast) + indexes_bytes(toast);
    relation_close(toast, AccessShareLock);
  }
  return bytes;
}

int64 total_bytes(Relation relation) { return table_bytes(relation) + indexes_bytes(relation); }

Datum size_of(FunctionCallInfo fcinfo, int64 (*size)(Relation)) {
  const Relation relation = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
  if (relation == nullptr) PG_RETURN_NULL();
  const int64 bytes = size(relation);
  relation_close(relation, AccessShareLock);
  PG_RETURN_INT64(bytes);
}

Datum relation_size(FunctionCallInfo fcinfo) {
  const ForkNumber fork = forkname_to_number(text_to_cstring(PG_GETARG_TEXT_PP(1)));
  const Relation relation = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
  if (relation == nullptr) PG_RETURN_NULL();
  const int64 bytes = fork_bytes(relation, fork);
  relation_close(relation, AccessShareLock);
  PG_RETURN_INT64(bytes);
}

Datum table_size(FunctionCallInfo fcinfo) { return size_of(fcinfo, table_bytes); }
Datum indexes_size(FunctionCallInfo fcinfo) { return size_of(fcinfo, indexes_bytes); }
Datum total_relation_size(FunctionCallInfo fcinfo) { return size_of(fcinfo, total_bytes); }

// PostgreSQL's rule: CONNECT on the database, or pg_read_all_stats.
void require_database_right(Oid database) {
  if (object_aclcheck(DatabaseRelationId, database, GetUserId(), ACL_CONNECT) == ACLCHECK_OK) return;
  if (has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS)) return;
  aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_DATABASE, get_database_name(database));
}

Datum size_of_database(FunctionCallInfo fcinfo, Oid database) {
  require_database_right(database);
  const int64 bytes = directory_bytes_at(InvalidOid, database, current_moment().lsn);
  if (bytes == 0) PG_RETURN_NULL();
  PG_RETURN_INT64(bytes);
}

Datum database_size_oid(FunctionCallInfo fcinfo) { return size_of_database(fcinfo, PG_GETARG_OID(0)); }

Datum database_size_name(FunctionCallInfo fcinfo) {
  return size_of_database(fcinfo, get_database_oid(NameStr(*PG_GETARG_NAME(0)), false));
}

// PostgreSQL's rule: CREATE on the tablespace, pg_read_all_stats, or the database's own tablespace.
void require_tablespace_right(Oid tablespace) {
  if (tablespace == MyDatabaseTableSpace || has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS)) return;
  const AclResult result = object_aclcheck(TableSpaceRelationId, tablespace, GetUserId(), ACL_CREATE);
  if (result != ACLCHECK_OK) aclcheck_error(result, OBJECT_TABLESPACE, get_tablespace_name(tablespace));
}

Datum size_of_tablespace(FunctionCallInfo fcinfo, Oid tablespace) {
  require_tablespace_right(tablespace);
  if (get_tablespace_name(tablespace) == nullptr) PG_RETURN_NULL();
  PG_RETURN_INT64(directory_bytes_at(tablespace, InvalidOid, current_moment().lsn));
}

Datum tablespace_size_oid(FunctionCallInfo fcinfo) { return size_of_tablespace(fcinfo, PG_GETARG_OID(0)); }

Datum tablespace_size_name(FunctionCallInfo fcinfo) {
  return size_of_tablespace(fcinfo, get_tablespace_oid(NameStr(*PG_GETARG_NAME(0)), false));
}

}  // namespace

void install_size_functions(bool travel) {
  strata_seams.pg_relation_size = travel ? relation_size : nullptr;
  strata_seams.pg_table_size = travel ? table_size : nullptr;
  strata_seams.pg_indexes_size = travel ? indexes_size : nullptr;
  strata_seams.pg_total_relation_size = travel ? total_relation_size : nullptr;
  strata_seams.pg_database_size_oid = travel ? database_size_oid : nullptr;
  strata_seams.pg_database_size_name = travel ? database_size_name : nullptr;
  strata_seams.pg_tablespace_size_oid = travel ? tablespace_size_oid : nullptr;
  strata_seams.pg_tablespace_size_name = travel ? tablespace_size_name : nullptr;
}

}  // namespace strata::travel
