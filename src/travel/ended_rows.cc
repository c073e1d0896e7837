#include "travel/ended_rows.h"

extern "C" {
#include "access/htup_details.h"
#include "access/multixact.h"
#include "catalog/pg_class.h"
#include "catalog/pg_tablespace.h"
#include "miscadmin.h"
#include "storage/bufpage.h"
}

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "pg/guard.h"
#include "travel/history.h"
#include "travel/relation_map.h"
#include "travel/transactions.h"

namespace strata::travel {

namespace {

// How catalogs with an OID and a name begin.
struct RowStart {
  Oid oid;
  NameData name;
};

// A row of which some transaction was the deleter, whether it committed or not.
struct Deletion {
  Oid oid;
  TransactionId xmax;  // a multixact if is_multi
  bool is_multi;
  friend auto operator<=>(const Deletion&, const Deletion&) = default;
};

struct Seen {
  NameData name;
  XLogRecPtr first;  // the lowest LSN at which it was seen
};

// What a walk over pages gathers.
struct Gathered {
  const char* name = nullptr;
  Oid wanted_file_of = InvalidOid;  // gathers the file numbers of this relation, from pages of pg_class
  std::map<Deletion, Seen> deletions;
  std::set<RelFileNumber> files;
};

// An update leads to another tuple, a deletion to none.
bool is_deleted(HeapTupleHeader tuple, ItemPointerData self) {
  if ((tuple->t_infomask & HEAP_XMAX_INVALID) != 0 || HEAP_XMAX_IS_LOCKED_ONLY(tuple->t_infomask)) return false;
  return TransactionIdIsValid(HeapTupleHeaderGetRawXmax(tuple)) && ItemPointerEquals(&tuple->t_ctid, &self);
}

void gather_tuple(HeapTupleHeader tuple, ItemPointerData self, XLogRecPtr lsn, Gathered& gathered) {
  const char* data = reinterpret_cast<const char*>(tuple) + tuple->t_hoff;
  RowStart start;
  std::memcpy(&start, data, sizeof(start));
  if (start.oid == gathered.wanted_file_of && OidIsValid(start.oid)) {
    gathered.files.insert(reinterpret_cast<const FormData_pg_class*>(data)->relfilenode);
  }
  if (!is_deleted(tuple, self)) return;
  if (gathered.name != nullptr && std::strncmp(NameStr(start.name), gathered.name, NAMEDATALEN) != 0) return;
  const Deletion deletion{start.oid, HeapTupleHeaderGetRawXmax(tuple), (tuple->t_infomask & HEAP_XMAX_IS_MULTI) != 0};
  const auto [seen, is_new] = gathered.deletions.try_emplace(deletion, Seen{start.name, lsn});
  if (!is_new) seen->second.first = std::min(seen->second.first, lsn);
}

struct Visit {
  Gathered* gathered;
  BlockNumber block;
};

void gather_page(const char* bytes, XLogRecPtr lsn, void* context) {
  const auto* visit = static_cast<const Visit*>(context);
  const Page page = const_cast<char*>(bytes);
  if (PageIsNew(page)) return;
  for (OffsetNumber i = FirstOffsetNumber; i <= PageGetMaxOffsetNumber(page); i++) {
    const ItemId item = PageGetItemId(page, i);
    if (!ItemIdIsNormal(item) || ItemIdGetLength(item) < SizeofHeapTupleHeader + sizeof(RowStart)) continue;
    ItemPointerData self;
    ItemPointerSet(&self, visit->block, i);
    gather_tuple(reinterpret_cast<HeapTupleHeader>(PageGetItem(page, item)), self, lsn, *visit->gathered);
  }
}

void walk_file(const RelFileLocator& locator, XLogRecPtr since, XLogRecPtr until, Gathered& gathered) {
  const BlockNumber blocks = most_blocks_in(locator, MAIN_FORKNUM, since, until);
  for (BlockNumber block = 0; block < blocks; block++) {
    Visit visit{&gathered, block};
    visit_page_states(locator, MAIN_FORKNUM, block, since, until, gather_page, &visit);
  }
}

// Every file that the catalog had, each for the time in which it had it.
void walk_mapped(Oid catalog, bool shared, XLogRecPtr since, XLogRecPtr until, Gathered& gathered) {
  const Oid tablespace = shared ? GLOBALTABLESPACE_OID : MyDatabaseTableSpace;
  const Oid database = shared ? InvalidOid : MyDatabaseId;
  while (until > since && (shared || database_has_files_at(tablespace, database, until))) {
    const XLogRecPtr changed = relation_map_changed_at(tablespace, database, since, until);
    const RelFileNumber file = mapped_filenumber_at(catalog, shared, until, MyDatabaseTableSpace);
    const XLogRecPtr begin = changed != InvalidXLogRecPtr ? changed - 1 : since;
    walk_file(RelFileLocator{tablespace, database, file}, begin, until, gathered);
    until = begin;
  }
}

// `of_class` holds what is gathered on the way.
void walk_catalog(const Catalog& catalog, XLogRecPtr since, XLogRecPtr until, Gathered& gathered, Gathered& of_class) {
  if (RelFileNumberIsValid(mapped_filenumber_at(catalog.oid, catalog.shared, until, MyDatabaseTableSpace))) {
    walk_mapped(catalog.oid, catalog.shared, since, until, gathered);
    return;
  }
  // pg_class names its files, now and before.
  of_class.wanted_file_of = catalog.oid;
  of_class.name = "";
  walk_mapped(RelationRelationId, false, since, until, of_class);
  for (const RelFileNumber file : of_class.files) {
    walk_file(RelFileLocator{MyDatabaseTableSpace, MyDatabaseId, file}, since, until, gathered);
  }
}

bool has_ended(FullTransactionId transaction, XLogRecPtr at) {
  if (!FullTransactionIdPrecedes(transaction, next_xid_at(at))) return false;
  return xid_status_at(XidFromFullTransactionId(transaction), at) != TRANSACTION_STATUS_IN_PROGRESS;
}

TransactionId deleter_of(const Deletion& deletion, XLogRecPtr at) {
  if (!deletion.is_multi) return deletion.xmax;
  MultiXactMember* members = nullptr;
  const int count = multixact_members_at(deletion.xmax, at, &members);
  for (int i = 0; i < count; i++) {
    if (ISUPDATE_from_mxstatus(members[i].status)) return members[i].xid;
  }
  return InvalidTransactionId;
}

// Objects of one transaction come one after another: their OIDs do.
struct LastEnd {
  FullTransactionId xid = InvalidFullTransactionId;
  XLogRecPtr lsn = InvalidXLogRecPtr;
};

// False where the deletion was not committed in (since, until].
bool complete(const Deletion& deletion, const Seen& seen, XLogRecPtr since, XLogRecPtr until, LastEnd* last,
              EndedRow* row) {
  const XLogRecPtr first = std::max(seen.first, since);
  const TransactionId xid = deleter_of(deletion, first);
  if (!TransactionIdIsNormal(xid)) return false;
  row->oid = deletion.oid;
  row->name = seen.name;
  row->xid = FullTransactionIdFromAllowableAt(next_xid_at(first), xid);
  if (has_ended(row->xid, first)) return false;
  if (!FullTransactionIdEquals(row->xid, last->xid)) *last = {row->xid, end_of_transaction(row->xid, first, until)};
  row->lsn = last->lsn;
  return row->lsn != InvalidXLogRecPtr && xid_committed_at(xid, row->lsn);
}

}  // namespace

XLogRecPtr end_of_transaction(FullTransactionId xid, XLogRecPtr not_ended, XLogRecPtr until) {
  // Most end soon, and the commit log of much later may not know them any more.
  XLogRecPtr ended = not_ended;
  for (uint64 step = 8192; !has_ended(xid, ended); step *= 2) {
    CHECK_FOR_INTERRUPTS();
    if (ended == until) return InvalidXLogRecPtr;
    not_ended = ended;
    ended = until - ended > step ? ended + step : until;
  }
  while (ended - not_ended > 1) {
    CHECK_FOR_INTERRUPTS();
    const XLogRecPtr middle = not_ended + (ended - not_ended) / 2;
    (has_ended(xid, middle) ? ended : not_ended) = middle;
  }
  return ended;
}

int ended_rows(const Catalog& catalog, XLogRecPtr since, XLogRecPtr until, const char* name, EndedRow** rows) {
  if (!catalog.shared) since = std::max(since, database_created_at(MyDatabaseTableSpace, MyDatabaseId, until));
  std::pair<Deletion, Seen>* found = nullptr;
  std::size_t count = 0;
  pg::guarded([&] {
    Gathered gathered;
    Gathered of_class;
    gathered.name = name;
    pg::caught([&] { walk_catalog(catalog, since, until, gathered, of_class); });
    pg::caught([&] {
      found = static_cast<std::pair<Deletion, Seen>*>(palloc(sizeof(*found) * (gathered.deletions.size() + 1)));
    });
    for (const auto& [deletion, seen] : gathered.deletions) found[count++] = {deletion, seen};
  });
  *rows = static_cast<EndedRow*>(palloc(sizeof(EndedRow) * (count + 1)));
  LastEnd last;
  int ended = 0;
  for (std::size_t i = 0; i < count; i++) {
    if (complete(found[i].first, found[i].second, since, until, &last, *rows + ended)) ended++;
  }
  pfree(found);
  return ended;
}

}  // namespace strata::travel
