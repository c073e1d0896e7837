#include "travellers/versions_query.h"

extern "C" {
#include "access/detoast.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/queryenvironment.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/xid8.h"
#include "varatt.h"
}

#include "travel/commit_times.h"
#include "travel/history.h"
#include "travel/relation_map.h"
#include "travel/stored_value.h"
#include "travellers/table_query.h"
#include "travellers/version_columns.h"
#include "versions/row_walk.h"

namespace strata::travellers {

namespace {

using versions::Committed;
using versions::RowVersion;
using versions::TransactionEnd;

constexpr const char* kRelation = "strata versions";

// A version that the transaction itself replaced, or deleted. Nobody else ever saw it.
struct Passing {
  struct Id {
    XLogRecPtr lsn;  // of the transaction's commit
    ItemPointerData tid;
  };
  Id id;  // the hash key
  bool updated;
  bool deleted;
  ItemPointerData next;
};

// The passing version before another version.
struct Predecessor {
  Passing::Id successor;  // the hash key
  ItemPointerData tid;
};

struct Collection {
  const Versions* wanted;
  Relation relation;
  FullTransactionId next_xid;
  MemoryContext row;  // reset for each row
  Tuplestorestate* raw;
  TupleDesc raw_columns;
  HTAB* passing;
  HTAB* predecessors;
  travel::CommitTimes* times;
};

// Beyond the columns of the answer, a row that was collected has what its operation is told from.
enum RawColumn { kUpdated, kDeleted, kNext, kRawColumns };

HTAB* make_hash(const char* name, Size key, Size entry) {
  HASHCTL control = {};
  control.keysize = key;
  control.entrysize = entry;
  control.hcxt = CurrentMemoryContext;
  return hash_create(name, 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

Passing::Id id_of(XLogRecPtr lsn, const ItemPointerData& tid) {
  Passing::Id id;
  memset(&id, 0, sizeof(id));
  id.lsn = lsn;
  id.tid = tid;
  return id;
}

void note_passing(Collection* all, const RowVersion& version) {
  const Passing::Id id = id_of(version.start.lsn, version.tuple->t_self);
  auto* passing = static_cast<Passing*>(hash_search(all->passing, &id, HASH_ENTER, nullptr));
  passing->updated = version.updated;
  passing->deleted = version.deleted;
  passing->next = version.next;
  if (version.deleted) return;
  const Passing::Id successor = id_of(version.start.lsn, version.next);
  auto* predecessor = static_cast<Predecessor*>(hash_search(all->predecessors, &successor, HASH_ENTER, nullptr));
  predecessor->tid = version.tuple->t_self;
}

// Whether the transaction made the row out of one that was there before.
bool was_updated(const Collection& all, XLogRecPtr lsn, ItemPointerData tid, bool updated) {
  while (updated) {
    const Passing::Id id = id_of(lsn, tid);
    const auto* predecessor = static_cast<const Predecessor*>(hash_search(all.predecessors, &id, HASH_FIND, nullptr));
    if (predecessor == nullptr) return true;
    tid = predecessor->tid;
    const Passing::Id before = id_of(lsn, tid);
    updated = static_cast<const Passing*>(hash_search(all.passing, &before, HASH_FIND, nullptr))->updated;
  }
  return false;
}

// Whether the transaction that ended a version left no successor of it.
bool was_deleted(const Collection& all, XLogRecPtr lsn, ItemPointerData next, bool deleted) {
  while (!deleted) {
    const Passing::Id id = id_of(lsn, next);
    const auto* passing = static_cast<const Passing*>(hash_search(all.passing, &id, HASH_FIND, nullptr));
    if (passing == nullptr) return false;
    next = passing->next;
    deleted = passing->deleted;
  }
  return true;
}

void put_commit(Collection* all, const TransactionEnd& end, int lsn_column, int time_column, Datum* values,
                bool* nulls) {
  nulls[lsn_column] = nulls[time_column] = end.committed != Committed::kWithin;
  if (nulls[lsn_column]) return;
  values[lsn_column] = LSNGetDatum(end.lsn);
  values[time_column] = TimestampTzGetDatum(travel::commit_time(all->times, end.lsn));
}

// Where the table's file ended, what stood until then did, too.
TransactionEnd end_of_version(const Collection& all, const RowVersion& version) {
  if (version.end.committed != Committed::kNot || all.wanted->fate == Fate::kStands) return version.end;
  TransactionEnd end;
  end.committed = Committed::kWithin;
  end.lsn = all.wanted->end;
  end.top = all.wanted->end_xid;
  return end;
}

void collect(const RowVersion& version, void* context) {
  auto* all = static_cast<Collection*>(context);
  const TransactionEnd end = end_of_version(*all, version);
  const bool within = version.start.committed == Committed::kWithin;
  if (within && version.start.lsn == end.lsn && !all->wanted->every_version) {
    note_passing(all, version);
    return;
  }
  MemoryContextReset(all->row);
  MemoryContext previous = MemoryContextSwitchTo(all->row);
  const TupleDesc columns = RelationGetDescr(all->relation);
  Datum* values = static_cast<Datum*>(palloc0(sizeof(Datum) * static_cast<Size>(all->raw_columns->natts)));
  bool* nulls = static_cast<bool*>(palloc0(sizeof(bool) * static_cast<Size>(all->raw_columns->natts)));
  put_commit(all, version.start, kStartLsn, kStartTime, values, nulls);
  put_commit(all, end, kEndLsn, kEndTime, values, nulls);
  nulls[kXid] = !within;
  if (within)
    values[kXid] = FullTransactionIdGetDatum(FullTransactionIdFromAllowableAt(all->next_xid, version.start.top));
  values[kOperation] = CStringGetTextDatum("I");
  nulls[kEndXid] = end.committed != Committed::kWithin;
  if (!nulls[kEndXid])
    values[kEndXid] = FullTransactionIdGetDatum(FullTransactionIdFromAllowableAt(all->next_xid, end.top));
  values[kCtid] = ItemPointerGetDatum(&version.tuple->t_self);
  Datum* own = values + kVersionColumns;
  bool* own_nulls = nulls + kVersionColumns;
  heap_deform_tuple(version.tuple, columns, own, own_nulls);
  for (int i = 0; i < columns->natts; i++) {
    if (own_nulls[i] || TupleDescAttr(columns, i)->attlen != -1) continue;
    own[i] = travel::fetch_stored_value(own[i], version.seen);
  }
  Datum* raw = own + columns->natts;
  bool* raw_nulls = own_nulls + columns->natts;
  const bool rewritten = within && version.start.lsn == all->wanted->begin && all->wanted->rewritten;
  raw[kUpdated] = BoolGetDatum(version.updated || rewritten);
  const bool file_ended = version.end.committed == Committed::kNot;
  raw[kDeleted] = BoolGetDatum(file_ended ? all->wanted->fate == Fate::kEnds : version.deleted);
  raw_nulls[kNext] = file_ended;
  ItemPointerData next = version.next;
  raw[kNext] = ItemPointerGetDatum(&next);
  tuplestore_putvalues(all->raw, all->raw_columns, values, nulls);
  MemoryContextSwitchTo(previous);
}

// The second pass, when all passing versions are known.
Tuplestorestate* with_operations(const Collection& all, TupleDesc columns) {
  Tuplestorestate* store = tuplestore_begin_heap(false, false, work_mem);
  TupleTableSlot* slot = MakeSingleTupleTableSlot(all.raw_columns, &TTSOpsMinimalTuple);
  const int hidden = columns->natts;
  while (tuplestore_gettupleslot(all.raw, true, false, slot)) {
    CHECK_FOR_INTERRUPTS();
    MemoryContextReset(all.row);
    MemoryContext previous = MemoryContextSwitchTo(all.row);
    slot_getallattrs(slot);
    Datum* values = slot->tts_values;
    bool* nulls = slot->tts_isnull;
    const ItemPointerData tid = *DatumGetItemPointer(values[kCtid]);
    const bool updated = DatumGetBool(values[hidden + kUpdated]);
    const bool from_before = nulls[kStartLsn];
    // Who wrote a version of before the window, and how, is not looked for.
    nulls[kOperation] = from_before;
    if (!from_before && was_updated(all, DatumGetLSN(values[kStartLsn]), tid, updated)) {
      values[kOperation] = CStringGetTextDatum("U");
    }
    tuplestore_putvalues(store, columns, values, nulls);
    if (!nulls[kEndLsn]) {
      ItemPointerData next = {};
      if (!nulls[hidden + kNext]) next = *DatumGetItemPointer(values[hidden + kNext]);
      const bool deleted = DatumGetBool(values[hidden + kDeleted]);
      if (deleted || (!nulls[hidden + kNext] && was_deleted(all, DatumGetLSN(values[kEndLsn]), next, false))) {
        values[kOperation] = CStringGetTextDatum("D");
        values[kStartLsn] = values[kEndLsn];
        values[kStartTime] = values[kEndTime];
        values[kXid] = values[kEndXid];
        nulls[kOperation] = nulls[kStartLsn] = nulls[kStartTime] = nulls[kXid] = false;
        nulls[kEndLsn] = nulls[kEndTime] = nulls[kEndXid] = true;
        tuplestore_putvalues(store, columns, values, nulls);
      }
    }
    MemoryContextSwitchTo(previous);
  }
  ExecDropSingleTupleTableSlot(slot);
  tuplestore_end(all.raw);
  return store;
}

// The columns of versions, then those of the table, then `more`.
TupleDesc columns_with(const TupleDesc table, int more) {
  TupleDesc columns = CreateTemplateTupleDesc(kVersionColumns + table->natts + more);
  describe_version_columns(columns);
  for (int i = 0; i < table->natts; i++) {
    TupleDescCopyEntry(columns, static_cast<AttrNumber>(kVersionColumns + i + 1), table,
                       static_cast<AttrNumber>(i + 1));
    TupleDescAttr(columns, kVersionColumns + i)->attisdropped = TupleDescAttr(table, i)->attisdropped;
  }
  const AttrNumber first = static_cast<AttrNumber>(kVersionColumns + table->natts + 1);
  if (more == kRawColumns) {
    TupleDescInitEntry(columns, static_cast<AttrNumber>(first + kUpdated), "strata updated", BOOLOID, -1, 0);
    TupleDescInitEntry(columns, static_cast<AttrNumber>(first + kDeleted), "strata deleted", BOOLOID, -1, 0);
    TupleDescInitEntry(columns, static_cast<AttrNumber>(first + kNext), "strata next", TIDOID, -1, 0);
  }
  return columns;
}

void require_readable(Relation relation, Oid rights_of) {
  const char kind = relation->rd_rel->relkind;
  const char* name = RelationGetRelationName(relation);
  if (kind != RELKIND_RELATION && kind != RELKIND_MATVIEW) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" has no row versions", name),
                    errdetail_relkind_not_supported(kind)));
  }
  if (relation->rd_rel->relpersistence != RELPERSISTENCE_PERMANENT) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE), errmsg("\"%s\" has no row versions", name),
                    errdetail("Changes of unlogged and temporary tables are not in WAL.")));
  }
  // The parent, where it was there and the table was its partition.
  const char parent_kind = get_rel_relkind(rights_of);
  const Oid oid = parent_kind != '\0' ? rights_of : RelationGetRelid(relation);
  const AclResult allowed = pg_class_aclcheck(oid, GetUserId(), ACL_SELECT);
  if (allowed != ACLCHECK_OK) aclcheck_error(allowed, get_relkind_objtype(kind), get_rel_name(oid));
  if (check_enable_rls(oid, InvalidOid, false) == RLS_ENABLED) {
    ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
                    errmsg("row versions of \"%s\" cannot be read under row-level security", get_rel_name(oid)),
                    errhint("A role that bypasses its policies can read them.")));
  }
}

// A mapped catalog that was written anew has rows in files that pg_class does not tell of.
void require_one_file(Relation relation, XLogRecPtr from) {
  if (!RelationIsMapped(relation)) return;
  const RelFileLocator& locator = relation->rd_locator;
  const bool shared = relation->rd_rel->relisshared;
  if (travel::mapped_filenumber_at(RelationGetRelid(relation), shared, from, locator.spcOid) == locator.relNumber) {
    return;
  }
  ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                  errmsg("\"%s\" was written anew between the two moments", RelationGetRelationName(relation)),
                  errhint("Ask for the time before and after that separately.")));
}

// The row as JSON.
void append_json(StringInfo out, TupleDesc columns) {
  appendStringInfoString(out, "(SELECT pg_catalog.to_jsonb(j) FROM (SELECT ");
  const char* comma = "";
  for (int i = kVersionColumns; i < columns->natts; i++) {
    if (TupleDescAttr(columns, i)->attisdropped) continue;
    appendStringInfo(out, "%sr.%s", comma, quote_identifier(NameStr(TupleDescAttr(columns, i)->attname)));
    comma = ", ";
  }
  appendStringInfoString(out, ") AS j)");
}

void register_rows(TupleDesc columns, Tuplestorestate* store) {
  auto* rows = static_cast<EphemeralNamedRelation>(palloc0(sizeof(EphemeralNamedRelationData)));
  rows->md.name = pstrdup(kRelation);
  rows->md.reliddesc = InvalidOid;
  rows->md.tupdesc = columns;
  rows->md.enrtype = ENR_NAMED_TUPLESTORE;
  rows->md.enrtuples = static_cast<double>(tuplestore_tuple_count(store));
  rows->reldata = store;
  const int result = SPI_register_relation(rows);
  if (result != SPI_OK_REL_REGISTER) elog(ERROR, "could not register rows: %s", SPI_result_code_string(result));
}

}  // namespace

Query query_of_versions(const Table& table, const Versions& wanted, XLogRecPtr to) {
  const Oid oid = find_table(table);
  Relation relation = table_open(oid, AccessShareLock);
  require_readable(relation, wanted.rights_of);
  require_one_file(relation, wanted.from);

  Collection all = {};
  all.wanted = &wanted;
  all.relation = relation;
  all.next_xid = travel::next_xid_at(wanted.fate == Fate::kStands ? to : wanted.end);
  all.row = AllocSetContextCreate(CurrentMemoryContext, "strata row version", ALLOCSET_DEFAULT_SIZES);
  all.raw = tuplestore_begin_heap(false, false, work_mem);
  all.raw_columns = columns_with(RelationGetDescr(relation), kRawColumns);
  all.passing = make_hash("strata passing versions", sizeof(Passing::Id), sizeof(Passing));
  all.predecessors = make_hash("strata predecessors", sizeof(Passing::Id), sizeof(Predecessor));
  all.times = travel::open_commit_times();

  versions::RowWalk walk;
  walk.locator = relation->rd_locator;
  walk.from = wanted.from;
  walk.to = to;
  walk.begin = wanted.begin;
  walk.continues = wanted.fate == Fate::kContinues;
  walk.all = wanted.unchanged || wanted.fate == Fate::kEnds || wanted.fate == Fate::kRewritten;
  walk.ends = versions::open_transaction_ends(wanted.from, to);
  walk.visit = collect;
  walk.context = &all;
  versions::walk_rows(walk);

  const TupleDesc columns = columns_with(RelationGetDescr(relation), 0);
  Tuplestorestate* rows = with_operations(all, columns);
  register_rows(columns, rows);
  table_close(relation, NoLock);

  StringInfoData text;
  initStringInfo(&text);
  appendStringInfoString(&text, "SELECT ");
  append_version_columns(&text);
  if (table.count > 0) {
    append_columns(&text, oid, table);
  } else {
    append_json(&text, columns);
  }
  appendStringInfo(&text, " FROM (SELECT * FROM %s) AS r", quote_identifier(kRelation));
  Query query = {};
  query.text = text.data;
  query.rows = rows;
  if (table.condition[0] == '\0') return query;
  // Over the wanted columns, or, with rows as JSON, over those of the table.
  query.text = table.count > 0 ? psprintf("SELECT t.* FROM (%s) AS t WHERE (%s\n)", text.data, table.condition)
                               : psprintf("%s WHERE (%s\n)", text.data, table.condition);
  return query;
}

}  // namespace strata::travellers
