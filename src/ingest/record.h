// A decoded WAL record written out again, with fewer full-page images.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogreader.h"
}

#include "ingest/entry_batch.h"

namespace strata::ingest {

inline constexpr int kKeepNoImage = -1;

// The record as PostgreSQL lays it out (XLogRecord first), without the images of all blocks but `keep_image_of` (a
// block id, or kKeepNoImage). DecodeXLogRecord reads it; all other fields come out as they went in, but the checksum,
// which is that of the original. Memory is the batch's.
std::span<const std::byte> serialize_record(const DecodedXLogRecord& record, int keep_image_of, EntryBatch& batch);

}  // namespace strata::ingest
