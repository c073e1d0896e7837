#include "travel/stored_value.h"

extern "C" {
#include "access/detoast.h"
#include "access/table.h"
#include "access/toast_internals.h"
#include "utils/rel.h"
#include "varatt.h"
}

#include "travel/moment.h"

namespace strata::travel {

namespace {

// A relation of the session's moment leads to its pages as of another LSN, and back.
void lead_to(Relation relation, Oid tablespace, Oid database) {
  RelationCloseSmgr(relation);
  relation->rd_locator.spcOid = tablespace;
  relation->rd_locator.dbOid = database;
  // An index remembers its metapage.
  if (relation->rd_amcache != nullptr) pfree(relation->rd_amcache);
  relation->rd_amcache = nullptr;
}

// Calls fetch() while the TOAST table and its indexes are as of `lsn`. They are nobody else's meanwhile: the session
// reads nothing beside.
template <typename Fetch>
void with_toast_table_at(Oid toast_table, XLogRecPtr lsn, Fetch&& fetch) {
  Relation toast = table_open(toast_table, AccessShareLock);
  Relation* indexes = nullptr;
  int count = 0;
  toast_open_indexes(toast, AccessShareLock, &indexes, &count);
  const RelFileLocator here = toast->rd_locator;
  const Oid there = acquire_virtual_tablespace(lsn, here.spcOid, here.dbOid);
  PG_TRY();
  {
    lead_to(toast, there, InvalidOid);
    for (int i = 0; i < count; i++) lead_to(indexes[i], there, InvalidOid);
    fetch();
  }
  PG_FINALLY();
  {
    lead_to(toast, here.spcOid, here.dbOid);
    for (int i = 0; i < count; i++) lead_to(indexes[i], here.spcOid, here.dbOid);
    release_virtual_tablespace(there);
  }
  PG_END_TRY();
  toast_close_indexes(indexes, count, NoLock);
  table_close(toast, NoLock);
}

}  // namespace

Datum fetch_stored_value(Datum value, XLogRecPtr lsn) {
  auto* stored = reinterpret_cast<struct varlena*>(DatumGetPointer(value));
  if (!VARATT_IS_EXTERNAL_ONDISK(stored)) return PointerGetDatum(detoast_attr(stored));
  struct varatt_external pointer;
  VARATT_EXTERNAL_GET_POINTER(pointer, stored);
  struct varlena* result = nullptr;
  with_toast_table_at(pointer.va_toastrelid, lsn, [&] { result = detoast_attr(stored); });
  return PointerGetDatum(result);
}

}  // namespace strata::travel
