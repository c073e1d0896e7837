#include "travel/database.h"

extern "C" {
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

#include <cstring>

#include "pg/lsn_format.h"
#include "travel/catalog_scan.h"
#include "travel/history.h"

namespace strata::travel {

namespace {

struct Search {
  Oid database;
  DatabaseRow found;
};

bool is_other_database(HeapTuple tuple, void* context) {
  auto* search = static_cast<Search*>(context);
  // The columns up to dattablespace are of fixed width and never null.
  const auto* row = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
  if (row->oid != search->database) return true;
  search->found = DatabaseRow{row->dattablespace, row->datconnlimit != DATCONNLIMIT_INVALID_DB};
  return false;
}

struct NameSearch {
  const char* name;
  DatabaseAt found;
};

bool has_other_name(HeapTuple tuple, void* context) {
  auto* search = static_cast<NameSearch*>(context);
  const auto* row = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
  if (std::strcmp(NameStr(row->datname), search->name) != 0) return true;
  search->found.oid = row->oid;
  return false;
}

}  // namespace

DatabaseAt database_at(const char* name, XLogRecPtr at) {
  NameSearch search{name, {}};
  scan_catalog_at(DatabaseRelationId, true, InvalidOid, at, has_other_name, &search);
  return search.found;
}

DatabaseRow database_row_at(Oid database, XLogRecPtr at) {
  Search search{database, {}};
  scan_catalog_at(DatabaseRelationId, true, InvalidOid, at, is_other_database, &search);
  return search.found;
}

Oid database_tablespace_at(Oid database, XLogRecPtr at, const char* name) {
  const Oid tablespace = database_row_at(database, at).tablespace;
  const auto named = [&] { return name != nullptr ? name : get_database_name(database); };
  if (tablespace == InvalidOid) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_DATABASE), errmsg("database \"%s\" did not exist then", named()),
                    errhint("Connect to a database that existed at that moment.")));
  }
  if (!database_has_files_at(tablespace, database, at)) {
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_DATABASE), errmsg("database \"%s\" was being dropped then", named()),
             errdetail("At LSN %X/%X its files were gone, and DROP DATABASE had not committed.", LSN_FORMAT_ARGS(at)),
             errhint("Travel to an earlier moment, or connect to another database.")));
  }
  return tablespace;
}

bool session_has_temporary_tables() {
  Oid temp_namespace = InvalidOid;
  Oid temp_toast_namespace = InvalidOid;
  GetTempNamespaceState(&temp_namespace, &temp_toast_namespace);
  if (temp_namespace == InvalidOid) return false;

  bool found = false;
  const Relation classes = table_open(RelationRelationId, AccessShareLock);
  const TableScanDesc scan = table_beginscan_catalog(classes, 0, nullptr);
  HeapTuple tuple = nullptr;
  while (!found && (tuple = heap_getnext(scan, ForwardScanDirection)) != nullptr) {
    found = reinterpret_cast<Form_pg_class>(GETSTRUCT(tuple))->relnamespace == temp_namespace;
  }
  table_endscan(scan);
  table_close(classes, AccessShareLock);
  return found;
}

}  // namespace strata::travel
