#include "travel/catalog_scan.h"

extern "C" {
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/transam.h"
#include "catalog/pg_tablespace.h"
#include "miscadmin.h"
#include "storage/bufpage.h"
}

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
  if ((tuple->t_infomask & HEAP_XMAX_IS_MULTI) != 0) xmax = updater_at(xmax, at);
  return !TransactionIdIsValid(xmax) || !xid_committed_at(xmax, at);
}

}  // namespace

void scan_catalog_at(Oid catalog, bool shared, Oid tablespace, XLogRecPtr at,
                     bool (*visit)(HeapTuple row, void* context), void* context) {
  const RelFileLocator locator{shared ? GLOBALTABLESPACE_OID : tablespace, shared ? InvalidOid : MyDatabaseId,
                               mapped_filenumber_at(catalog, shared, at, tablespace)};
  const BlockNumber blocks = nblocks_at(locator, MAIN_FORKNUM, at);
  char* page = static_cast<char*>(palloc_aligned(BLCKSZ, PG_IO_ALIGN_SIZE, 0));
  bool more = true;
  for (BlockNumber block = 0; blocks != InvalidBlockNumber && block < blocks && more; block++) {
    CHECK_FOR_INTERRUPTS();
    read_pages_at(locator, MAIN_FORKNUM, block, 1, at, &page);
    if (PageIsNew(page)) continue;
    for (OffsetNumber i = FirstOffsetNumber; i <= PageGetMaxOffsetNumber(page) && more; i++) {
      const ItemId item = PageGetItemId(page, i);
      if (!ItemIdIsNormal(item)) continue;
      HeapTupleData row;
      row.t_data = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, item));
      row.t_len = ItemIdGetLength(item);
      row.t_tableOid = catalog;
      ItemPointerSet(&row.t_self, block, i);
      if (tuple_visible_at(row.t_data, at)) more = visit(&row, context);
    }
  }
  pfree(page);
}

}  // namespace strata::travel
