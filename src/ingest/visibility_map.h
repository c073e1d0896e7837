// Where the visibility map keeps a heap block's bits.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/visibilitymapdefs.h"
#include "storage/block.h"
#include "storage/bufpage.h"
}

namespace strata::ingest {

inline constexpr BlockNumber kHeapBlocksPerMapBlock =
    (BLCKSZ - MAXALIGN(SizeOfPageHeaderData)) * (BITS_PER_BYTE / BITS_PER_HEAPBLOCK);

constexpr BlockNumber map_block_of(BlockNumber heap_block) { return heap_block / kHeapBlocksPerMapBlock; }

// Whether a map block's first bits are those of `heap_block`.
constexpr bool starts_map_block(BlockNumber heap_block) { return heap_block % kHeapBlocksPerMapBlock == 0; }

}  // namespace strata::ingest
