#include "versions/files.h"

extern "C" {
#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_tablespace.h"
#include "miscadmin.h"
}

#include "travel/catalog_scan.h"
#include "travel/database.h"
#include "travel/relation_map.h"

namespace strata::versions {

namespace {

// A row of pg_class, for as long as it was current.
struct ClassRow {
  RelFileNumber file;
  Oid tablespace;
  TransactionEnd start;
  TransactionEnd end;
};

struct Search {
  Oid relation;
  ClassRow* rows;
  int count;
  int room;
  XLogRecPtr lsn;  // of columns_changed_at()
  bool found;
};

template <typename Form>
Form* form_of(HeapTuple tuple) {
  return reinterpret_cast<Form*>(GETSTRUCT(tuple));
}

bool is_class_row(HeapTuple tuple, void* context) {
  return form_of<FormData_pg_class>(tuple)->oid == static_cast<Search*>(context)->relation;
}

void keep_class_row(const RowVersion& version, void* context) {
  auto* search = static_cast<Search*>(context);
  // Of one that a later command of the same transaction replaced, nobody ever saw anything.
  if (version.start.committed == Committed::kWithin && version.start.lsn == version.end.lsn) return;
  if (search->count == search->room) {
    search->room *= 2;
    search->rows = static_cast<ClassRow*>(repalloc(search->rows, sizeof(ClassRow) * static_cast<Size>(search->room)));
  }
  const auto* form = form_of<FormData_pg_class>(version.tuple);
  search->rows[search->count++] = ClassRow{form->relfilenode, form->reltablespace, version.start, version.end};
}

bool is_column(HeapTuple tuple, void* context) {
  const auto* form = form_of<FormData_pg_attribute>(tuple);
  return form->attrelid == static_cast<Search*>(context)->relation && form->attnum > 0;
}

void note_column(const RowVersion& version, void* context) {
  auto* search = static_cast<Search*>(context);
  if (version.start.lsn == search->lsn) search->found = true;
}

RelFileLocator locator_of(bool shared, Oid tablespace, RelFileNumber file) {
  return RelFileLocator{shared ? GLOBALTABLESPACE_OID : tablespace, shared ? InvalidOid : MyDatabaseId, file};
}

int in_order(const void* a, const void* b) {
  const XLogRecPtr left = static_cast<const ClassRow*>(a)->start.lsn;
  const XLogRecPtr right = static_cast<const ClassRow*>(b)->start.lsn;
  return left < right ? -1 : left > right;
}

// The first LSN in (from, to] at which the catalog has another file than at `from`. REQUIRES: it has at `to`.
XLogRecPtr next_file_at(const Catalog& catalog, Oid tablespace, XLogRecPtr from, XLogRecPtr to) {
  const RelFileNumber file = travel::mapped_filenumber_at(catalog.oid, catalog.shared, from, tablespace);
  while (to - from > 1) {
    const XLogRecPtr middle = from + (to - from) / 2;
    const bool same = travel::mapped_filenumber_at(catalog.oid, catalog.shared, middle, tablespace) == file;
    (same ? from : to) = middle;
  }
  return to;
}

// At two LSNs at which a catalog has the same file it has that in between, too: no number is given out again so soon.
void walk_mapped(const Catalog& catalog, Oid tablespace, RowWalk walk) {
  const XLogRecPtr end = walk.to;
  const RelFileNumber last = travel::mapped_filenumber_at(catalog.oid, catalog.shared, end, tablespace);
  XLogRecPtr at = walk.from;
  for (;;) {
    const RelFileNumber file = travel::mapped_filenumber_at(catalog.oid, catalog.shared, at, tablespace);
    walk.locator = locator_of(catalog.shared, tablespace, file);
    walk.continues = file != last;
    const XLogRecPtr next = walk.continues ? next_file_at(catalog, tablespace, at, end) : end;
    walk.to = walk.continues ? next - 1 : end;
    walk_rows(walk);
    if (!walk.continues) return;
    walk.begin = next;
    at = next;
  }
}

Oid tablespace_within(XLogRecPtr from, XLogRecPtr to) {
  const Oid first = travel::database_tablespace_at(MyDatabaseId, from);
  const Oid last = travel::database_tablespace_at(MyDatabaseId, to);
  if (first != last) {
    ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                    errmsg("the database was moved to another tablespace between the two moments"),
                    errhint("Ask for the time before and after that separately.")));
  }
  return last;
}

RowWalk walk_for(Search* search, XLogRecPtr from, XLogRecPtr to) {
  RowWalk walk;
  walk.from = from;
  walk.to = to;
  walk.ends = open_transaction_ends(from, to);
  walk.context = search;
  return walk;
}

// Rows of pg_class that follow each other with the same file are one span.
int spans_of(const Search& search, XLogRecPtr to, FileSpan* spans) {
  int count = 0;
  for (int i = 0; i < search.count; i++) {
    const ClassRow& row = search.rows[i];
    const bool ended = row.end.committed == Committed::kWithin;
    FileSpan* span = count > 0 ? &spans[count - 1] : nullptr;
    if (span == nullptr || span->locator.relNumber != row.file || span->next.lsn != row.start.lsn) {
      span = &spans[count++];
      span->locator = RelFileLocator{row.tablespace, MyDatabaseId, row.file};
      span->begin = row.start.lsn;
    }
    span->to = ended ? row.end.lsn - 1 : to;
    span->next = row.end;
  }
  return count;
}

constexpr Catalog kClass{RelationRelationId, false};
constexpr Catalog kAttribute{AttributeRelationId, false};

// As file_spans(), the database being in `tablespace`.
int spans_within(Oid relation, Oid tablespace, XLogRecPtr from, XLogRecPtr to, FileSpan** spans) {
  Search search = {};
  search.relation = relation;
  search.room = 16;
  search.rows = static_cast<ClassRow*>(palloc(sizeof(ClassRow) * 16));
  RowWalk walk = walk_for(&search, from, to);
  walk.wanted = is_class_row;
  walk.visit = keep_class_row;
  walk_mapped(kClass, tablespace, walk);
  // A mapped catalog's row does not name its file.
  if (search.count > 0 && search.rows[0].file == InvalidRelFileNumber) return 0;
  qsort(search.rows, static_cast<Size>(search.count), sizeof(ClassRow), in_order);
  *spans = static_cast<FileSpan*>(palloc0(sizeof(FileSpan) * static_cast<Size>(search.count + 1)));
  const int count = spans_of(search, to, *spans);
  for (int i = 0; i < count; i++) {
    RelFileLocator& locator = (*spans)[i].locator;
    if (locator.spcOid == InvalidOid) locator.spcOid = tablespace;
  }
  return count;
}

struct ClassFile {
  Oid relation;
  RelFileNumber file;
};

bool find_file(HeapTuple row, void* context) {
  auto* found = static_cast<ClassFile*>(context);
  const auto* form = form_of<FormData_pg_class>(row);
  if (form->oid != found->relation) return true;
  found->file = form->relfilenode;
  return false;
}

RelFileNumber file_at(Oid relation, Oid tablespace, XLogRecPtr at) {
  ClassFile found = {relation, InvalidRelFileNumber};
  travel::scan_catalog_at(RelationRelationId, false, tablespace, at, find_file, &found);
  return found.file;
}

}  // namespace

int file_spans(Oid relation, XLogRecPtr from, XLogRecPtr to, FileSpan** spans) {
  return spans_within(relation, tablespace_within(from, to), from, to, spans);
}

void walk_catalog(const Catalog& catalog, Oid tablespace, RowWalk walk) {
  const XLogRecPtr end = walk.to;
  if (RelFileNumberIsValid(travel::mapped_filenumber_at(catalog.oid, catalog.shared, end, tablespace))) {
    walk_mapped(catalog, tablespace, walk);
    return;
  }
  FileSpan* spans = nullptr;
  const int count = spans_within(catalog.oid, tablespace, walk.from, end, &spans);
  if (count == 0) {
    walk.locator = locator_of(false, tablespace, file_at(catalog.oid, tablespace, end));
    walk_rows(walk);
  }
  for (int i = 0; i < count; i++) {
    walk.locator = spans[i].locator;
    walk.begin = spans[i].begin;
    walk.to = spans[i].to;
    walk.continues = i + 1 < count;
    walk_rows(walk);
  }
}

bool columns_changed_at(Oid relation, XLogRecPtr lsn, XLogRecPtr from) {
  Search search = {};
  search.relation = relation;
  search.lsn = lsn;
  RowWalk walk = walk_for(&search, from, lsn);
  walk.wanted = is_column;
  walk.visit = note_column;
  walk_mapped(kAttribute, tablespace_within(from, lsn), walk);
  return search.found;
}

}  // namespace strata::versions
