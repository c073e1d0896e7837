#include "sql/page_compare.h"

extern "C" {
#include "access/gist.h"
#include "access/htup_details.h"
#include "access/spgist_private.h"
#include "access/tableam.h"
#include "access/xlog_internal.h"
#include "catalog/pg_class.h"
#include "storage/bufpage.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
}

#include <cstring>
#include <initializer_list>

namespace strata::sql {

namespace {

bool has_sane_header(const char* page) {
  const auto* header = reinterpret_cast<const PageHeaderData*>(page);
  return header->pd_lower >= SizeOfPageHeaderData && header->pd_lower <= header->pd_upper &&
         header->pd_upper <= header->pd_special && header->pd_special <= BLCKSZ;
}

// PostgreSQL initialises some pages in memory before the record that fills them, and an error in between leaves them.
bool never_logged(const char* page) {
  return PageIsNew(page) || (XLogRecPtrIsInvalid(PageGetLSN(page)) && PageIsEmpty(page));
}

// WAL says of a sequence what it will be after the next values that need no WAL of their own.
void mask_sequence_values(char* page) {
  if (PageGetMaxOffsetNumber(page) < FirstOffsetNumber) return;
  const ItemId item = PageGetItemId(page, FirstOffsetNumber);
  const uint32 length = ItemIdGetLength(item);
  if (ItemIdGetOffset(item) + length > BLCKSZ || length < SizeofHeapTupleHeader) return;
  auto* tuple = reinterpret_cast<HeapTupleHeader>(PageGetItem(page, item));
  if (length > tuple->t_hoff) std::memset(reinterpret_cast<char*>(tuple) + tuple->t_hoff, 0, length - tuple->t_hoff);
}

// SP-GiST remembers in its metapage, unlogged, where it found room.
void mask_room_hints(char* page) {
  SpGistMetaPageData* meta = SpGistPageGetMeta(page);
  std::memset(&meta->lastUsedPages, 0, sizeof(meta->lastUsedPages));
}

// What differs on the present's pages, too, but is right by the time at which PostgreSQL itself compares pages.
void mask_more(RmgrId rmgr, BlockNumber block, char* page) {
  if (rmgr == RM_SEQ_ID) mask_sequence_values(page);
  if (rmgr == RM_SPGIST_ID && block == SPGIST_METAPAGE_BLKNO) mask_room_hints(page);
}

int first_differing_byte(const char* left, const char* right, int from) {
  for (int i = from; i < BLCKSZ; ++i) {
    if (left[i] != right[i]) return i;
  }
  return -1;
}

// The map is extended and initialised without WAL, so only its bits count. CREATE DATABASE logs images of map pages
// without their bits: a bit that is missing costs a look at the heap page, a bit too many is a wrong answer.
int first_wrong_map_byte(const char* present, const char* rebuilt) {
  for (int i = MAXALIGN(SizeOfPageHeaderData); i < BLCKSZ; ++i) {
    if ((rebuilt[i] & ~present[i]) != 0) return i;
  }
  return -1;
}

}  // namespace

RmgrId mask_of(Relation rel) {
  if (rel->rd_rel->relkind == RELKIND_SEQUENCE) return RM_SEQ_ID;
  // By handler, not by name: several access methods may share one. Of nailed catalogs only the routine is known.
  if (rel->rd_tableam == GetHeapamTableAmRoutine()) return RM_HEAP_ID;
  switch (rel->rd_amhandler) {
    case F_BTHANDLER:
      return RM_BTREE_ID;
    case F_HASHHANDLER:
      return RM_HASH_ID;
    case F_GINHANDLER:
      return RM_GIN_ID;
    case F_GISTHANDLER:
      return RM_GIST_ID;
    case F_SPGHANDLER:
      return RM_SPGIST_ID;
    case F_BRINHANDLER:
      return RM_BRIN_ID;
    default:
      return RM_GENERIC_ID;
  }
}

void mask_page(RmgrId rmgr, ForkNumber fork, BlockNumber block, char* page) {
  if (fork == VISIBILITYMAP_FORKNUM) {
    std::memset(page, 0, MAXALIGN(SizeOfPageHeaderData));
  } else if (!PageIsNew(page) && has_sane_header(page) && GetRmgr(rmgr).rm_mask != nullptr) {
    GetRmgr(rmgr).rm_mask(page, block);
  }
}

void add_marks_of_redo(RmgrId rmgr, char* page, const char* rebuilt) {
  if (rmgr != RM_GIST_ID || PageIsNew(page) || PageIsNew(rebuilt)) return;
  GistPageGetOpaque(page)->flags |= GistPageGetOpaque(rebuilt)->flags & F_TUPLES_DELETED;
}

int first_difference(RmgrId rmgr, ForkNumber fork, BlockNumber block, char* present, char* rebuilt) {
  if (fork == VISIBILITYMAP_FORKNUM) return first_wrong_map_byte(present, rebuilt);
  if (PageIsNew(rebuilt) && never_logged(present)) return -1;
  if (PageIsNew(rebuilt) || PageIsNew(present)) return first_differing_byte(present, rebuilt, 0);
  if (!has_sane_header(present) || !has_sane_header(rebuilt)) return first_differing_byte(present, rebuilt, 0);
  add_marks_of_redo(rmgr, present, rebuilt);
  for (char* page : {present, rebuilt}) {
    GetRmgr(rmgr).rm_mask(page, block);
    mask_more(rmgr, block, page);
  }
  return first_differing_byte(present, rebuilt, 0);
}

}  // namespace strata::sql
