#include "travel/present_functions.h"

extern "C" {
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "varatt.h"
}

#include <cstdlib>

#include "travel/catalog_scan.h"
#include "travel/history.h"
#include "travel/present_roles.h"
#include "travel/session.h"

namespace strata::travel {

namespace {

// One function of the present.
struct Function {
  Oid oid;
  Oid owner;
  uint64 definition;
  bool known;  // false: a part of the definition is kept out of line, where it could not be read
  Acl* acl;    // null: the default, EXECUTE for everybody
};

// Those that PostgreSQL does not come with, sorted by OID. Of the present's own catalogs without those in trusted
// languages, of history only without those in SQL.
struct Functions {
  uint64 at_change = 0;
  Function* first = nullptr;
  int count = 0;
  int capacity = 0;
};

Functions known;
MemoryContext known_context = nullptr;
uint64 changes = 1;
bool counts_changes = false;

void count_change(Datum, int, uint32 hash) {
  if (!drops_caches_at_switch() || hash != 0) changes++;
}

void count_changes() {
  if (counts_changes) return;
  CacheRegisterSyscacheCallback(PROCOID, count_change, 0);
  CacheRegisterSyscacheCallback(LANGOID, count_change, 0);
  counts_changes = true;
}

// Nobody can look for another definition of the same value.
uint64 seed() {
  static uint64 value = 0;
  while (value == 0) {
    if (!pg_strong_random(&value, sizeof(value))) value = pg_prng_uint64(&pg_global_prng_state);
  }
  return value;
}

uint64 combine(uint64 hash, const void* bytes, int size) {
  return hash_combine64(hash, hash_bytes_extended(static_cast<const unsigned char*>(bytes), size, seed()));
}

// Adds a text column. False where it cannot be read.
bool add_text(HeapTuple row, int column, TupleDesc descriptor, bool may_fetch, uint64* hash) {
  bool is_null = false;
  const Datum value = heap_getattr(row, column, descriptor, &is_null);
  if (is_null) {
    *hash = combine(*hash, &column, sizeof(column));
    return true;
  }
  if (VARATT_IS_EXTERNAL(DatumGetPointer(value)) && !may_fetch) return false;
  const struct varlena* text = pg_detoast_datum_packed(reinterpret_cast<struct varlena*>(DatumGetPointer(value)));
  *hash = combine(*hash, VARDATA_ANY(text), static_cast<int>(VARSIZE_ANY_EXHDR(text)));
  return true;
}

// A hash value of what a call needs to agree with. False where a part of it cannot be read.
bool definition_of(HeapTuple row, TupleDesc descriptor, bool may_fetch, uint64* hash) {
  const auto* function = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  const Oid oids[] = {function->prolang, function->prorettype, function->provariadic};
  const char flags[] = {function->prokind, static_cast<char>(function->proisstrict),
                        static_cast<char>(function->proretset)};
  *hash = combine(seed(), oids, sizeof(oids));
  *hash = combine(*hash, flags, sizeof(flags));
  *hash = combine(*hash, function->proargtypes.values, function->pronargs * static_cast<int>(sizeof(Oid)));
  return add_text(row, Anum_pg_proc_prosrc, descriptor, may_fetch, hash) &&
         add_text(row, Anum_pg_proc_probin, descriptor, may_fetch, hash);
}

// REQUIRES: known_context is current.
void add_function(HeapTuple row, TupleDesc descriptor, bool may_fetch) {
  if (known.count == known.capacity) {
    known.capacity = known.capacity == 0 ? 64 : known.capacity * 2;
    const Size size = sizeof(Function) * static_cast<Size>(known.capacity);
    known.first = static_cast<Function*>(known.first == nullptr ? palloc(size) : repalloc(known.first, size));
  }
  const auto* form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  Function function{form->oid, form->proowner, 0, false, nullptr};
  function.known = definition_of(row, descriptor, may_fetch, &function.definition);
  bool is_null = false;
  const Datum acl = heap_getattr(row, Anum_pg_proc_proacl, descriptor, &is_null);
  if (!is_null) {
    // An ACL out of line, of hundreds of roles, counts as one that names nobody.
    function.acl = VARATT_IS_EXTERNAL(DatumGetPointer(acl)) && !may_fetch ? make_empty_acl() : DatumGetAclPCopy(acl);
  }
  known.first[known.count++] = function;
}

bool in_trusted_language(Oid language) {
  if (language == INTERNALlanguageId || language == ClanguageId) return false;
  const HeapTuple row = SearchSysCache1(LANGOID, ObjectIdGetDatum(language));
  if (!HeapTupleIsValid(row)) return false;
  const bool trusted = reinterpret_cast<Form_pg_language>(GETSTRUCT(row))->lanpltrusted;
  ReleaseSysCache(row);
  return trusted;
}

bool add_function_of_history(HeapTuple row, void* descriptor) {
  const auto* form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row));
  if (form->oid < FirstUnpinnedObjectId || form->prolang == SQLlanguageId) return true;
  add_function(row, static_cast<TupleDesc>(descriptor), false);
  return true;
}

int by_oid(const void* left, const void* right) { return oid_cmp(left, right); }

void begin_anew() {
  if (known_context == nullptr) {
    known_context = AllocSetContextCreate(TopMemoryContext, "strata functions of the present", ALLOCSET_SMALL_SIZES);
  }
  known = Functions{};
  MemoryContextReset(known_context);
}

void read_from_catalogs(Relation functions) {
  ScanKeyData key;
  ScanKeyInit(&key, Anum_pg_proc_oid, BTGreaterEqualStrategyNumber, F_OIDGE, ObjectIdGetDatum(FirstUnpinnedObjectId));
  const SysScanDesc scan = systable_beginscan(functions, ProcedureOidIndexId, true, nullptr, 1, &key);
  HeapTuple row = nullptr;
  while ((row = systable_getnext(scan)) != nullptr) {
    if (in_trusted_language(reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->prolang)) continue;
    const MemoryContext caller = MemoryContextSwitchTo(known_context);
    add_function(row, RelationGetDescr(functions), true);
    MemoryContextSwitchTo(caller);
  }
  systable_endscan(scan);
}

void read_from_history(Relation functions) {
  const XLogRecPtr at = newest_lsn_in_history();
  // Of a database that has been dropped since nothing is left.
  if (!database_has_files_at(database_tablespace_of_present(), MyDatabaseId, at)) return;
  const MemoryContext caller = MemoryContextSwitchTo(known_context);
  scan_catalog_at(ProcedureRelationId, false, database_tablespace_of_present(), at, add_function_of_history,
                  RelationGetDescr(functions));
  MemoryContextSwitchTo(caller);
}

void read_anew(void (*read)(Relation)) {
  const uint64 before = changes;
  begin_anew();
  const Relation functions = table_open(ProcedureRelationId, AccessShareLock);
  read(functions);
  table_close(functions, AccessShareLock);
  qsort(known.first, static_cast<std::size_t>(known.count), sizeof(Function), by_oid);
  known.at_change = before;
}

const Function* function_of_present(Oid oid) {
  AcceptInvalidationMessages();
  count_changes();
  if (known.at_change != changes) read_anew(read_from_history);
  return known.count == 0 ? nullptr
                          : static_cast<const Function*>(std::bsearch(
                                &oid, known.first, static_cast<std::size_t>(known.count), sizeof(Function), by_oid));
}

}  // namespace

void note_functions_of_present() {
  Assert(!travelling() && IsTransactionState());
  count_changes();
  AcceptInvalidationMessages();
  if (known.at_change != changes) read_anew(read_from_catalogs);
}

bool same_function_now(HeapTuple row) {
  const Oid oid = reinterpret_cast<Form_pg_proc>(GETSTRUCT(row))->oid;
  const Function* function = function_of_present(oid);
  if (function == nullptr || !function->known) return false;
  const Relation functions = table_open(ProcedureRelationId, AccessShareLock);
  uint64 definition = 0;
  const bool readable = definition_of(row, RelationGetDescr(functions), true, &definition);
  table_close(functions, AccessShareLock);
  return readable && definition == function->definition;
}

bool may_execute_now(Oid oid, Oid role) {
  const Function* function = function_of_present(oid);
  if (function == nullptr) return false;
  if (function->acl == nullptr) return true;
  const AclItem* items = ACL_DAT(function->acl);
  for (int i = 0; i < ACL_NUM(function->acl); i++) {
    if ((ACLITEM_GET_PRIVS(items[i]) & ACL_EXECUTE) == 0) continue;
    if (items[i].ai_grantee == ACL_ID_PUBLIC || has_privileges_now(role, items[i].ai_grantee)) return true;
  }
  return has_privileges_now(role, function->owner);
}

}  // namespace strata::travel
