// Visibility-map pages: two bits for each heap block, and the changes of them that WAL does not log as such.
#pragma once

extern "C" {
#include "postgres.h"

#include "storage/block.h"
}

namespace strata::redo {

// The visibility-map block that holds the bits of a heap block.
BlockNumber map_block_of(BlockNumber heap_block);

// Clears `flags` (VISIBILITYMAP_*) of `heap_block` on `page`. A page that was never initialised has nothing to clear.
// The page's LSN stays: clearing is idempotent and never ordered by it.
// REQUIRES: map_block_of(heap_block) is the page's block.
void clear_map_bits(char* page, BlockNumber heap_block, uint8 flags);

// Clears the bits of all heap blocks from `first_heap_block` on, on the page that is block `map_block` of the map.
void truncate_map(char* page, BlockNumber map_block, BlockNumber first_heap_block);

}  // namespace strata::redo
