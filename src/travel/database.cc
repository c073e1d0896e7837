#include "travel/database.h"

extern "C" {
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_tablespace.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "storage/bufpage.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
}

#include "pg/lsn_format.h"
#include "travel/history.h"
#include "travel/relation_map.h"
#include "travel/transactions.h"

namespace strata::travel {

namespace {

// Whether a heap tuple that was read from a page as of `at` was visible to a transaction that began then.
bool tuple_visible_at(HeapTupleHeader tuple, XLogRecPtr at) {
  if (!HeapTupleHeaderXminFrozen(tuple) && !xid_committed_at(HeapTupleHeaderGetRawXmin(tuple), at)) return false;
  if ((tuple->t_infomask & HEAP_XMAX_INVALID) != 0 || HEAP_XMAX_IS_LOCKED_ONLY(tuple->t_infomask)) return true;
  TransactionId xmax = HeapTupleHeaderGetRawXmax(tuple);
  if ((tuple->t_infomask & HEAP_XMAX_IS_MULTI) != 0) {
    MultiXactMember* members = nullptr;
    const int count = multixact_members_at(xmax, at, &members);
    xmax = InvalidTransactionId;
    for (int i = 0; i < count; i++) {
      if (ISUPDATE_from_mxstatus(members[i].status)) xmax = members[i].xid;
    }
  }
  return !TransactionIdIsValid(xmax) || !xid_committed_at(xmax, at);
}

}  // namespace

Oid database_tablespace_at(Oid database, XLogRecPtr at) {
  const RelFileLocator locator{GLOBALTABLESPACE_OID, InvalidOid, mapped_filenumber_at(DatabaseRelationId, true, at)};
  const BlockNumber blocks = nblocks_at(locator, MAIN_FORKNUM, at);
  char* page = static_cast<char*>(palloc_aligned(BLCKSZ, PG_IO_ALIGN_SIZE, 0));
  Oid tablespace = InvalidOid;
  for (BlockNumber block = 0; blocks != InvalidBlockNumber && block < blocks && tablespace == InvalidOid; block++) {
    read_pages_at(locator, MAIN_FORKNUM, block, 1, at, &page);
    if (PageIsNew(page)) continue;
    for (OffsetNumber i = FirstOffsetNumber; i <= PageGetMaxOffsetNumber(page); i++) {
      const ItemId item = PageGetItemId(page, i);
      if (!ItemIdIsNormal(item)) continue;
      auto* tuple = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, item));
      // The columns up to dattablespace are of fixed width and never null.
      const auto* row = reinterpret_cast<Form_pg_database>(reinterpret_cast<char*>(tuple) + tuple->t_hoff);
      if (row->oid == database && tuple_visible_at(tuple, at)) {
        tablespace = row->dattablespace;
        break;
      }
    }
  }
  pfree(page);
  if (tablespace == InvalidOid) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_DATABASE),
                    errmsg("database \"%s\" did not exist then", get_database_name(database)),
                    errhint("Connect to a database that existed at that moment.")));
  }
  if (!database_has_files_at(tablespace, database, at)) {
    ereport(ERROR,
            (errcode(ERRCODE_UNDEFINED_DATABASE),
             errmsg("database \"%s\" was being dropped then", get_database_name(database)),
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
