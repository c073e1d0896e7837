#include "versions/ended_rows.h"

extern "C" {
#include "access/htup_details.h"
#include "miscadmin.h"
}

#include "travel/history.h"
#include "versions/files.h"
#include "versions/row_walk.h"

namespace strata::versions {

namespace {

// How catalogs with an OID and a name begin.
struct RowStart {
  Oid oid;
  NameData name;
};

struct Found {
  const char* name;  // null: all
  FullTransactionId next_xid;
  EndedRow* rows;
  int count;
  int room;
};

const RowStart& start_of(HeapTuple tuple) { return *reinterpret_cast<const RowStart*>(GETSTRUCT(tuple)); }

bool is_wanted(HeapTuple tuple, void* context) {
  const char* name = static_cast<const Found*>(context)->name;
  return name == nullptr || strncmp(NameStr(start_of(tuple).name), name, NAMEDATALEN) == 0;
}

void keep_deleted(const RowVersion& version, void* context) {
  auto* found = static_cast<Found*>(context);
  if (version.end.committed != Committed::kWithin || !version.deleted) return;
  if (found->count == found->room) {
    found->room *= 2;
    found->rows = static_cast<EndedRow*>(repalloc(found->rows, sizeof(EndedRow) * static_cast<Size>(found->room)));
  }
  const RowStart& start = start_of(version.tuple);
  found->rows[found->count++] = EndedRow{
      start.oid, start.name, FullTransactionIdFromAllowableAt(found->next_xid, version.end.top), version.end.lsn};
}

}  // namespace

int ended_rows(const Catalog& catalog, XLogRecPtr since, XLogRecPtr until, const char* name, EndedRow** rows) {
  if (!catalog.shared) {
    since = Max(since, travel::database_created_at(MyDatabaseTableSpace, MyDatabaseId, until));
  }
  Found found = {};
  found.name = name;
  found.next_xid = travel::next_xid_at(until);
  found.room = 16;
  found.rows = static_cast<EndedRow*>(palloc(sizeof(EndedRow) * static_cast<Size>(found.room)));
  RowWalk walk;
  walk.from = since;
  walk.to = until;
  walk.ends = open_transaction_ends(since, until);
  walk.wanted = is_wanted;
  walk.visit = keep_deleted;
  walk.context = &found;
  walk_catalog(catalog, MyDatabaseTableSpace, walk);
  *rows = found.rows;
  return found.count;
}

}  // namespace strata::versions
