// Heap records, and the visibility-map bits that they clear without naming the map's page.
#include "ingest/wal_decoder.h"

extern "C" {
#include "access/heapam_xlog.h"
#include "access/visibilitymapdefs.h"
}

#include "ingest/keys.h"
#include "ingest/visibility_map.h"

namespace strata::ingest {

void WalDecoder::decode_heap() {
  add_blocks();
  switch (XLogRecGetInfo(record_) & XLOG_HEAP_OPMASK) {
    case XLOG_HEAP_INSERT: {
      const auto* insert = reinterpret_cast<const xl_heap_insert*>(data());
      if ((insert->flags & XLH_INSERT_ALL_VISIBLE_CLEARED) != 0) {
        clear_map_unless_named(HEAP_INSERT_BLKREF_HEAP, HEAP_INSERT_BLKREF_VM, VISIBILITYMAP_VALID_BITS);
      }
      return;
    }
    case XLOG_HEAP_DELETE: {
      const auto* remove = reinterpret_cast<const xl_heap_delete*>(data());
      if ((remove->flags & XLH_DELETE_ALL_VISIBLE_CLEARED) != 0) {
        clear_map_unless_named(HEAP_DELETE_BLKREF_HEAP, HEAP_DELETE_BLKREF_VM, VISIBILITYMAP_VALID_BITS);
      }
      return;
    }
    case XLOG_HEAP_UPDATE:
    case XLOG_HEAP_HOT_UPDATE: {
      const auto* update = reinterpret_cast<const xl_heap_update*>(data());
      // One map page that is named stands for both: a block whose bit was clear already is not mentioned.
      if (XLogRecHasBlockRef(record_, HEAP_UPDATE_BLKREF_VM_NEW) ||
          XLogRecHasBlockRef(record_, HEAP_UPDATE_BLKREF_VM_OLD)) {
        return;
      }
      const DecodedBkpBlock& new_block = record_->record->blocks[HEAP_UPDATE_BLKREF_HEAP_NEW];
      BlockNumber old_block = new_block.blkno;
      if (XLogRecHasBlockRef(record_, HEAP_UPDATE_BLKREF_HEAP_OLD)) {
        old_block = record_->record->blocks[HEAP_UPDATE_BLKREF_HEAP_OLD].blkno;
      }
      if ((update->flags & XLH_UPDATE_OLD_ALL_VISIBLE_CLEARED) != 0) {
        clear_map(new_block.rlocator, old_block, VISIBILITYMAP_VALID_BITS);
      }
      if ((update->flags & XLH_UPDATE_NEW_ALL_VISIBLE_CLEARED) != 0) {
        clear_map(new_block.rlocator, new_block.blkno, VISIBILITYMAP_VALID_BITS);
      }
      return;
    }
    case XLOG_HEAP_LOCK: {
      const auto* lock = reinterpret_cast<const xl_heap_lock*>(data());
      if ((lock->flags & XLH_LOCK_ALL_FROZEN_CLEARED) != 0) {
        clear_map_unless_named(HEAP_LOCK_BLKREF_HEAP, HEAP_LOCK_BLKREF_VM, VISIBILITYMAP_ALL_FROZEN);
      }
      return;
    }
    case XLOG_HEAP_TRUNCATE:
    case XLOG_HEAP_CONFIRM:
    case XLOG_HEAP_INPLACE:
      return;
    default:
      throw_unknown_record();
  }
}

void WalDecoder::decode_heap2() {
  add_blocks();
  switch (XLogRecGetInfo(record_) & XLOG_HEAP_OPMASK) {
    case XLOG_HEAP2_MULTI_INSERT: {
      const auto* insert = reinterpret_cast<const xl_heap_multi_insert*>(data());
      if ((insert->flags & XLH_INSERT_ALL_VISIBLE_CLEARED) != 0) {
        clear_map_unless_named(HEAP_MULTI_INSERT_BLKREF_HEAP, HEAP_MULTI_INSERT_BLKREF_VM, VISIBILITYMAP_VALID_BITS);
      }
      return;
    }
    case XLOG_HEAP2_LOCK_UPDATED: {
      const auto* lock = reinterpret_cast<const xl_heap_lock_updated*>(data());
      if ((lock->flags & XLH_LOCK_ALL_FROZEN_CLEARED) != 0) {
        clear_map_unless_named(HEAP_LOCK_BLKREF_HEAP, HEAP_LOCK_BLKREF_VM, VISIBILITYMAP_ALL_FROZEN);
      }
      return;
    }
    case XLOG_HEAP2_REWRITE:
    case XLOG_HEAP2_PRUNE_ON_ACCESS:
    case XLOG_HEAP2_PRUNE_VACUUM_SCAN:
    case XLOG_HEAP2_PRUNE_VACUUM_CLEANUP:
    case XLOG_HEAP2_VISIBLE:
    case XLOG_HEAP2_NEW_CID:
      return;
    default:
      throw_unknown_record();
  }
}

void WalDecoder::clear_map_unless_named(int heap_ref, int map_ref, std::uint8_t flags) {
  if (XLogRecHasBlockRef(record_, map_ref)) return;
  const DecodedBkpBlock& heap = record_->record->blocks[heap_ref];
  clear_map(heap.rlocator, heap.blkno, flags);
}

void WalDecoder::clear_map(const RelFileLocator& locator, BlockNumber heap_block, std::uint8_t flags) {
  const BlockNumber block = map_block_of(heap_block);
  const ForkSize size = sizes_.get(size_key(locator, VISIBILITYMAP_FORKNUM));
  if (!size || block >= *size) return;
  const std::span<std::byte> value = batch_.allocate(sizeof(heap_block) + sizeof(flags));
  std::memcpy(value.data(), &heap_block, sizeof(heap_block));
  std::memcpy(value.data() + sizeof(heap_block), &flags, sizeof(flags));
  batch_.add(page_key(locator, VISIBILITYMAP_FORKNUM, block), EntryType::kVmClear, false, value);
}

}  // namespace strata::ingest
