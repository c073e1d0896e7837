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
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
}

#include <cstring>

#include "pg/lsn_format.h"
#include "travel/catalog_scan.h"
#include "travel/history.h"

namespace strata::travel {

namespace {

struct Search {
  Oid database = InvalidOid;
  DatabaseRow found;
  // Where set: the session's row to compare with, and what both rows consist of.
  HeapTuple own = nullptr;
  TupleDesc descriptor = nullptr;
  bool reads_as_own = true;
  int encoding = -1;
};

bool same_text(HeapTuple left, HeapTuple right, AttrNumber number, TupleDesc descriptor) {
  bool left_null = false;
  bool right_null = false;
  const Datum left_text = heap_getattr(left, number, descriptor, &left_null);
  const Datum right_text = heap_getattr(right, number, descriptor, &right_null);
  if (left_null || right_null) return left_null == right_null;
  return std::strcmp(TextDatumGetCString(left_text), TextDatumGetCString(right_text)) == 0;
}

// Whether text is read and sorted alike in two databases.
bool same_locale(HeapTuple left, HeapTuple right, TupleDesc descriptor) {
  const auto* one = reinterpret_cast<Form_pg_database>(GETSTRUCT(left));
  const auto* other = reinterpret_cast<Form_pg_database>(GETSTRUCT(right));
  return one->encoding == other->encoding && one->datlocprovider == other->datlocprovider &&
         same_text(left, right, Anum_pg_database_datcollate, descriptor) &&
         same_text(left, right, Anum_pg_database_datctype, descriptor) &&
         same_text(left, right, Anum_pg_database_datlocale, descriptor) &&
         same_text(left, right, Anum_pg_database_daticurules, descriptor);
}

bool is_other_database(HeapTuple tuple, void* context) {
  auto* search = static_cast<Search*>(context);
  // The columns up to dattablespace are of fixed width and never null.
  const auto* row = reinterpret_cast<Form_pg_database>(GETSTRUCT(tuple));
  if (row->oid != search->database) return true;
  if (search->own != nullptr) search->reads_as_own = same_locale(tuple, search->own, search->descriptor);
  search->encoding = row->encoding;
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
  Search search;
  search.database = database;
  scan_catalog_at(DatabaseRelationId, true, InvalidOid, at, is_other_database, &search);
  return search.found;
}

Oid database_tablespace_at(Oid database, XLogRecPtr at, const char* name) {
  Search search;
  search.database = database;
  if (name == nullptr) {
    search.own = SearchSysCacheCopy1(DATABASEOID, ObjectIdGetDatum(database));
    const Relation databases = table_open(DatabaseRelationId, AccessShareLock);
    search.descriptor = CreateTupleDescCopy(RelationGetDescr(databases));
    table_close(databases, AccessShareLock);
  }
  scan_catalog_at(DatabaseRelationId, true, InvalidOid, at, is_other_database, &search);
  const Oid tablespace = search.found.tablespace;
  const auto named = [&] { return name != nullptr ? name : get_database_name(database); };
  if (tablespace == InvalidOid) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_DATABASE), errmsg("database \"%s\" did not exist then", named()),
                    errhint("Connect to a database that existed at that moment.")));
  }
  if (!search.reads_as_own) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("database \"%s\" was another one then, with another encoding or locale", named()),
                    errdetail("The database that had its OID at LSN %X/%X had the encoding %s.", LSN_FORMAT_ARGS(at),
                              pg_encoding_to_char(search.encoding)),
                    errhint("Connect with the moment, to the name that the database had then.")));
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
