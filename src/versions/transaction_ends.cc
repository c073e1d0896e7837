#include "versions/transaction_ends.h"

extern "C" {
#include "access/clog.h"
#include "access/transam.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
}

#include "pg/commit_log.h"
#include "travel/history.h"

namespace strata::versions {

namespace {

constexpr long kLoadedPages = 64;

// A transaction that committed within the window.
struct Commit {
  TransactionId xid;  // the hash key
  TransactionId top;
  XLogRecPtr lsn;
};

// A commit record with transactions on more than one page: the page with the lowest of them has the top-level one.
struct Spanning {
  XLogRecPtr lsn;  // the hash key
  TransactionId top;
};

struct LoadedPage {
  uint32 pageno;  // the hash key
  char at_begin[BLCKSZ];
  HTAB* commits;  // of Commit
};

HTAB* make_hash(const char* name, Size key, Size entry, MemoryContext context) {
  HASHCTL control = {};
  control.keysize = key;
  control.entrysize = entry;
  control.hcxt = context;
  return hash_create(name, 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

}  // namespace

struct TransactionEnds {
  XLogRecPtr from;
  XLogRecPtr to;
  TransactionId next_at_begin;
  MemoryContext parent;
  MemoryContext context;  // of all below
  HTAB* pages;
};

namespace {

void forget_pages(TransactionEnds* ends) {
  if (ends->context != nullptr) MemoryContextDelete(ends->context);
  ends->context = AllocSetContextCreate(ends->parent, "strata transaction ends", ALLOCSET_DEFAULT_SIZES);
  ends->pages = make_hash("commit log pages", sizeof(uint32), sizeof(LoadedPage), ends->context);
}

// What is known while one page is loaded.
struct Loading {
  LoadedPage* page;
  HTAB* spanning;  // of lower pages
  XLogRecPtr oldest;
  XLogRecPtr newest;
};

void note_commit(uint8 status, const TransactionId* xids, int count, XLogRecPtr lsn, void* context) {
  if (status != TRANSACTION_STATUS_COMMITTED) return;
  auto* loading = static_cast<Loading*>(context);
  loading->oldest = loading->oldest == InvalidXLogRecPtr ? lsn : Min(loading->oldest, lsn);
  loading->newest = Max(loading->newest, lsn);
  for (int i = 0; i < count; i++) {
    auto* commit = static_cast<Commit*>(hash_search(loading->page->commits, &xids[i], HASH_ENTER, nullptr));
    commit->lsn = lsn;
    // Xids are in ascending order, and a parent has its own before its children get theirs.
    commit->top = xids[0];
  }
}

void note_spanning(uint8 status, const TransactionId* xids, int, XLogRecPtr lsn, void* context) {
  if (status != TRANSACTION_STATUS_COMMITTED) return;
  bool found = false;
  auto* spanning =
      static_cast<Spanning*>(hash_search(static_cast<Loading*>(context)->spanning, &lsn, HASH_ENTER, &found));
  // Lower pages come first.
  if (!found) spanning->top = xids[0];
}

// Transactions that have xids on lower pages, too, and ended while those of this page did.
void find_tops(TransactionEnds* ends, Loading* loading) {
  if (loading->newest == InvalidXLogRecPtr) return;
  const XLogRecPtr from = loading->oldest - 1;
  loading->spanning = make_hash("commits of lower pages", sizeof(XLogRecPtr), sizeof(Spanning), ends->context);
  uint32 lower = 0;
  while (travel::next_changed_commit_log_page(lower, loading->page->pageno, from, loading->newest, &lower)) {
    travel::visit_transaction_ends(lower, from, loading->newest, note_spanning, loading);
    lower++;
  }
  HASH_SEQ_STATUS scan;
  hash_seq_init(&scan, loading->page->commits);
  while (auto* commit = static_cast<Commit*>(hash_seq_search(&scan))) {
    const auto* spanning =
        static_cast<const Spanning*>(hash_search(loading->spanning, &commit->lsn, HASH_FIND, nullptr));
    if (spanning != nullptr) commit->top = spanning->top;
  }
  hash_destroy(loading->spanning);
}

const LoadedPage* load(TransactionEnds* ends, uint32 pageno) {
  if (const void* known = hash_search(ends->pages, &pageno, HASH_FIND, nullptr)) {
    return static_cast<const LoadedPage*>(known);
  }
  if (hash_get_num_entries(ends->pages) >= kLoadedPages) forget_pages(ends);
  HTAB* commits = make_hash("commits", sizeof(TransactionId), sizeof(Commit), ends->context);
  auto* page = static_cast<LoadedPage*>(hash_search(ends->pages, &pageno, HASH_ENTER, nullptr));
  page->commits = commits;
  Loading loading = {};
  loading.page = page;
  travel::read_commit_log_page_at(pageno, ends->from, page->at_begin);
  travel::visit_transaction_ends(pageno, ends->from, ends->to, note_commit, &loading);
  find_tops(ends, &loading);
  return page;
}

}  // namespace

TransactionEnds* open_transaction_ends(XLogRecPtr from, XLogRecPtr to) {
  auto* ends = static_cast<TransactionEnds*>(palloc0(sizeof(TransactionEnds)));
  ends->from = from;
  ends->to = to;
  ends->next_at_begin = XidFromFullTransactionId(travel::next_xid_at(from));
  ends->parent = CurrentMemoryContext;
  forget_pages(ends);
  return ends;
}

TransactionEnd end_of(TransactionEnds* ends, TransactionId xid) {
  TransactionEnd end;
  if (!TransactionIdIsNormal(xid)) {
    if (TransactionIdIsValid(xid)) end.committed = Committed::kBefore;
    return end;
  }
  const LoadedPage* page = load(ends, pg::commit_log_page_of(xid));
  // Beyond the next xid, the page may still hold transactions of 2^32 before.
  if (TransactionIdPrecedes(xid, ends->next_at_begin) &&
      pg::status_on(page->at_begin, xid) == TRANSACTION_STATUS_COMMITTED) {
    end.committed = Committed::kBefore;
    return end;
  }
  const auto* commit = static_cast<const Commit*>(hash_search(page->commits, &xid, HASH_FIND, nullptr));
  if (commit == nullptr) return end;
  end.committed = Committed::kWithin;
  end.lsn = commit->lsn;
  end.top = commit->top;
  return end;
}

}  // namespace strata::versions
