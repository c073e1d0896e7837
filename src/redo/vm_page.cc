#include "redo/vm_page.h"

extern "C" {
#include "access/visibilitymapdefs.h"
#include "storage/bufpage.h"
}

#include <cstring>

namespace strata::redo {

namespace {

constexpr uint32 kMapBytes = BLCKSZ - MAXALIGN(SizeOfPageHeaderData);
constexpr uint32 kBlocksPerByte = BITS_PER_BYTE / BITS_PER_HEAPBLOCK;
constexpr uint32 kBlocksPerPage = kMapBytes * kBlocksPerByte;

uint32 byte_of(BlockNumber heap_block) { return heap_block % kBlocksPerPage / kBlocksPerByte; }
uint32 shift_of(BlockNumber heap_block) { return heap_block % kBlocksPerByte * BITS_PER_HEAPBLOCK; }

uint8* map_of(char* page) { return reinterpret_cast<uint8*>(PageGetContents(page)); }

}  // namespace

BlockNumber map_block_of(BlockNumber heap_block) { return heap_block / kBlocksPerPage; }

void clear_map_bits(char* page, BlockNumber heap_block, uint8 flags) {
  if (PageIsNew(page)) return;
  map_of(page)[byte_of(heap_block)] &= static_cast<uint8>(~(flags << shift_of(heap_block)));
}

void truncate_map(char* page, BlockNumber map_block, BlockNumber first_heap_block) {
  if (PageIsNew(page) || map_block < map_block_of(first_heap_block)) return;
  uint8* map = map_of(page);
  if (map_block > map_block_of(first_heap_block)) {
    std::memset(map, 0, kMapBytes);
    return;
  }
  const uint32 byte = byte_of(first_heap_block);
  map[byte] &= static_cast<uint8>((1U << shift_of(first_heap_block)) - 1);
  std::memset(map + byte + 1, 0, kMapBytes - byte - 1);
}

}  // namespace strata::redo
