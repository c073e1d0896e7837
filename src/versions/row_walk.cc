#include "versions/row_walk.h"

extern "C" {
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/transam.h"
#include "miscadmin.h"
#include "storage/bufpage.h"
#include "utils/memutils.h"
}

#include "travel/history.h"
#include "travel/transactions.h"

namespace strata::versions {

namespace {

constexpr int kBatch = 256;

// A transaction that set a tuple's xmax to end it. Only one of them can have committed.
struct Ender {
  TransactionId xmax;
  bool multi;
  ItemPointerData ctid;
  Ender* before;
};

// A tuple at its line pointer, from where it was first seen.
struct Seen {
  TransactionId xmin;
  Size length;
  HeapTuple tuple;  // null: not wanted
  XLogRecPtr lsn;
  bool withdrawn;  // its speculative insertion was
  Ender* enders;
};

struct BlockState {
  const RowWalk* walk;
  BlockNumber block;
  OffsetNumber max;  // line pointers of the state before
  Seen* seen[MaxHeapTuplesPerPage + 1];
};

TransactionEnd start_of(const BlockState& state, const Seen& seen) {
  const bool known_committed = HeapTupleHeaderXminCommitted(seen.tuple->t_data);
  TransactionEnd before;
  before.committed = Committed::kBefore;
  if (seen.lsn <= state.walk->from && known_committed) return before;
  const TransactionEnd start = end_of(state.walk->ends, seen.xmin);
  // A frozen row that VACUUM FULL or CLUSTER has moved: the commit log may not reach back to its transaction.
  return start.committed == Committed::kNot && known_committed ? before : start;
}

// REQUIRES: seen->tuple is there.
void judge(const BlockState& state, const Seen& seen, bool stands) {
  RowVersion version;
  version.start = start_of(state, seen);
  if (version.start.committed == Committed::kNot) return;
  const Ender* ender = seen.enders;
  for (; ender != nullptr; ender = ender->before) {
    const TransactionId xid = ender->multi ? travel::updater_at(ender->xmax, state.walk->to) : ender->xmax;
    version.end = end_of(state.walk->ends, xid);
    if (version.end.committed != Committed::kNot) break;
  }
  if (version.end.committed == Committed::kBefore) return;
  const bool ended = version.end.committed != Committed::kNot;
  if (ended && version.end.lsn <= state.walk->begin) return;
  if (!ended && (!stands || state.walk->continues)) return;
  if (!ended && version.start.committed == Committed::kBefore && !state.walk->all) return;
  version.updated = (seen.tuple->t_data->t_infomask & HEAP_UPDATED) != 0;
  if (ender != nullptr) {
    version.next = ender->ctid;
    version.deleted =
        ItemPointerEquals(&version.next, &seen.tuple->t_self) || ItemPointerIndicatesMovedPartitions(&version.next);
  }
  version.seen = seen.lsn;
  version.tuple = seen.tuple;
  state.walk->visit(version, state.walk->context);
}

// The tuple has gone from its line pointer, or `stands` there at the window's end.
void finish(BlockState* state, OffsetNumber offset, bool stands) {
  Seen* seen = state->seen[offset];
  if (seen == nullptr) return;
  state->seen[offset] = nullptr;
  if (seen->tuple != nullptr && !seen->withdrawn) judge(*state, *seen, stands);
  if (seen->tuple != nullptr) pfree(seen->tuple);
  while (seen->enders != nullptr) {
    Ender* ender = seen->enders;
    seen->enders = ender->before;
    pfree(ender);
  }
  pfree(seen);
}

HeapTuple copy_tuple(const BlockState& state, OffsetNumber offset, const char* item, Size length) {
  auto* tuple = static_cast<HeapTuple>(palloc(HEAPTUPLESIZE + length));
  tuple->t_len = static_cast<uint32>(length);
  ItemPointerSet(&tuple->t_self, state.block, offset);
  tuple->t_tableOid = InvalidOid;
  tuple->t_data = reinterpret_cast<HeapTupleHeader>(reinterpret_cast<char*>(tuple) + HEAPTUPLESIZE);
  memcpy(tuple->t_data, item, length);
  return tuple;
}

Seen* see(const BlockState& state, OffsetNumber offset, const char* item, Size length, XLogRecPtr lsn) {
  auto* seen = static_cast<Seen*>(palloc0(sizeof(Seen)));
  seen->tuple = copy_tuple(state, offset, item, length);
  seen->xmin = HeapTupleHeaderGetRawXmin(seen->tuple->t_data);
  seen->length = length;
  seen->lsn = lsn;
  if (state.walk->wanted != nullptr && !state.walk->wanted(seen->tuple, state.walk->context)) {
    pfree(seen->tuple);
    seen->tuple = nullptr;
  }
  return seen;
}

void note_ender(Seen* seen, const HeapTupleHeaderData* header) {
  const TransactionId xmax = HeapTupleHeaderGetRawXmax(header);
  if (!TransactionIdIsValid(xmax) || (header->t_infomask & HEAP_XMAX_INVALID) != 0) return;
  if (HEAP_XMAX_IS_LOCKED_ONLY(header->t_infomask)) return;
  const bool multi = (header->t_infomask & HEAP_XMAX_IS_MULTI) != 0;
  if (seen->enders != nullptr && seen->enders->xmax == xmax && seen->enders->multi == multi) {
    seen->enders->ctid = header->t_ctid;
    return;
  }
  auto* ender = static_cast<Ender*>(palloc(sizeof(Ender)));
  ender->xmax = xmax;
  ender->multi = multi;
  ender->ctid = header->t_ctid;
  ender->before = seen->enders;
  seen->enders = ender;
}

// Whether the item is the tuple that was seen: a line pointer that was freed may have been given to another one.
bool is_same(const Seen& seen, const HeapTupleHeaderData* header, Size length) {
  return seen.length == length && seen.xmin == HeapTupleHeaderGetRawXmin(header);
}

void look_at(BlockState* state, OffsetNumber offset, char* item, Size length, XLogRecPtr lsn) {
  const auto* header = reinterpret_cast<const HeapTupleHeaderData*>(item);
  Seen* seen = state->seen[offset];
  if (seen != nullptr && !TransactionIdIsValid(HeapTupleHeaderGetRawXmin(header))) {
    seen->withdrawn = true;
    return;
  }
  if (seen != nullptr && !is_same(*seen, header, length)) {
    finish(state, offset, false);
    seen = nullptr;
  }
  if (seen == nullptr) {
    seen = see(*state, offset, item, length, lsn);
    state->seen[offset] = seen;
  }
  if (seen->tuple != nullptr) note_ender(seen, header);
}

void visit_page(char* page, XLogRecPtr lsn, void* context) {
  auto* state = static_cast<BlockState*>(context);
  const OffsetNumber max = PageIsNew(page) ? 0 : Min(PageGetMaxOffsetNumber(page), MaxHeapTuplesPerPage);
  for (OffsetNumber offset = FirstOffsetNumber; offset <= Max(max, state->max); offset++) {
    const ItemId item = offset <= max ? PageGetItemId(page, offset) : nullptr;
    if (item == nullptr || !ItemIdIsNormal(item)) {
      finish(state, offset, false);
      continue;
    }
    look_at(state, offset, static_cast<char*>(PageGetItem(page, item)), ItemIdGetLength(item), lsn);
  }
  state->max = max;
}

// In a memory context of its own, which is empty afterwards.
void walk_one(const RowWalk& walk, BlockNumber block) {
  CHECK_FOR_INTERRUPTS();
  auto* state = static_cast<BlockState*>(palloc0(sizeof(BlockState)));
  state->walk = &walk;
  state->block = block;
  travel::walk_block(walk.locator, MAIN_FORKNUM, block, walk.from, walk.to, visit_page, state);
  for (OffsetNumber offset = FirstOffsetNumber; offset <= state->max; offset++) finish(state, offset, true);
  MemoryContextReset(CurrentMemoryContext);
}

}  // namespace

void walk_rows(const RowWalk& walk) {
  BlockNumber blocks[kBatch];
  MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "strata row walk", ALLOCSET_DEFAULT_SIZES);
  MemoryContext caller = MemoryContextSwitchTo(context);
  BlockNumber first = 0;
  if (walk.all) {
    const BlockNumber end = travel::nblocks_at(walk.locator, MAIN_FORKNUM, walk.to);
    for (; end != InvalidBlockNumber && first < end; first++) walk_one(walk, first);
  }
  for (int count = kBatch; count == kBatch;) {
    count = travel::changed_blocks(walk.locator, MAIN_FORKNUM, first, walk.from, walk.to, blocks, kBatch);
    for (int i = 0; i < count; i++) walk_one(walk, blocks[i]);
    if (count > 0) first = blocks[count - 1] + 1;
  }
  MemoryContextSwitchTo(caller);
  MemoryContextDelete(context);
}

}  // namespace strata::versions
