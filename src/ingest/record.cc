#include "ingest/record.h"

extern "C" {
#include "access/xlogrecord.h"
#include "replication/origin.h"
}

#include <vector>

namespace strata::ingest {
namespace {

// Appends to memory that is known to suffice.
class Appender {
 public:
  explicit Appender(std::byte* at) : at_(at) {}

  void bytes(const void* data, std::size_t size) {
    if (size == 0) return;
    std::memcpy(at_, data, size);
    at_ += size;
  }
  template <typename T>
  void value(T v) {
    bytes(&v, sizeof(v));
  }
  [[nodiscard]] std::byte* position() const { return at_; }

 private:
  std::byte* at_;
};

std::size_t upper_bound_of_size(const DecodedXLogRecord& record, int keep_image_of) {
  std::size_t size = SizeOfXLogRecord + SizeOfXLogRecordDataHeaderLong + record.main_data_len;
  size += sizeof(std::uint8_t) + sizeof(RepOriginId) + sizeof(std::uint8_t) + sizeof(TransactionId);
  for (int id = 0; id <= record.max_block_id; ++id) {
    const DecodedBkpBlock& block = record.blocks[id];
    if (!block.in_use) continue;
    size += MaxSizeOfXLogRecordBlockHeader + block.data_len;
    if (id == keep_image_of) size += block.bimg_len;
  }
  return size;
}

void append_block_header(Appender& out, int id, const DecodedBkpBlock& block, bool keep_image,
                         const RelFileLocator* previous) {
  const bool same_relation = previous != nullptr && RelFileLocatorEquals(*previous, block.rlocator);
  std::uint8_t flags = block.flags & ~(BKPBLOCK_HAS_IMAGE | BKPBLOCK_SAME_REL);
  if (keep_image) flags |= BKPBLOCK_HAS_IMAGE;
  if (same_relation) flags |= BKPBLOCK_SAME_REL;

  out.value(static_cast<std::uint8_t>(id));
  out.value(flags);
  out.value(block.data_len);
  if (keep_image) {
    out.value(block.bimg_len);
    out.value(block.hole_offset);
    out.value(block.bimg_info);
    if (BKPIMAGE_COMPRESSED(block.bimg_info) && (block.bimg_info & BKPIMAGE_HAS_HOLE) != 0) {
      out.value(block.hole_length);
    }
  }
  if (!same_relation) out.value(block.rlocator);
  out.value(block.blkno);
}

void append_main_data_header(Appender& out, std::uint32_t length) {
  if (length == 0) return;
  if (length > 255) {
    out.value(static_cast<std::uint8_t>(XLR_BLOCK_ID_DATA_LONG));
    out.value(length);
  } else {
    out.value(static_cast<std::uint8_t>(XLR_BLOCK_ID_DATA_SHORT));
    out.value(static_cast<std::uint8_t>(length));
  }
}

#ifdef USE_ASSERT_CHECKING

bool same_block(const DecodedBkpBlock& a, const DecodedBkpBlock& b, bool image_kept) {
  if (a.in_use != b.in_use) return false;
  if (!a.in_use) return true;
  if (!RelFileLocatorEquals(a.rlocator, b.rlocator) || a.forknum != b.forknum || a.blkno != b.blkno) return false;
  if ((a.flags & BKPBLOCK_WILL_INIT) != (b.flags & BKPBLOCK_WILL_INIT)) return false;
  if (a.has_data != b.has_data || a.data_len != b.data_len) return false;
  if (a.has_data && std::memcmp(a.data, b.data, a.data_len) != 0) return false;
  if (!image_kept) return !b.has_image && !b.apply_image;
  return b.has_image && a.apply_image == b.apply_image && a.bimg_len == b.bimg_len && a.hole_offset == b.hole_offset &&
         a.hole_length == b.hole_length && a.bimg_info == b.bimg_info &&
         std::memcmp(a.bkp_image, b.bkp_image, a.bimg_len) == 0;
}

bool decodes_to_the_same(const DecodedXLogRecord& record, int keep_image_of, std::span<std::byte> bytes) {
  auto* raw = reinterpret_cast<XLogRecord*>(bytes.data());
  std::vector<std::uint64_t> space(DecodeXLogRecordRequiredSpace(raw->xl_tot_len) / sizeof(std::uint64_t) + 1);
  auto* again = reinterpret_cast<DecodedXLogRecord*>(space.data());
  char error[1024];
  XLogReaderState state{};
  state.errormsg_buf = error;
  char* message = nullptr;
  if (!DecodeXLogRecord(&state, again, raw, record.lsn, &message)) return false;
  if (again->header.xl_xid != record.header.xl_xid || again->header.xl_info != record.header.xl_info ||
      again->header.xl_rmid != record.header.xl_rmid) {
    return false;
  }
  if (again->record_origin != record.record_origin || again->toplevel_xid != record.toplevel_xid) return false;
  if (again->main_data_len != record.main_data_len || again->max_block_id != record.max_block_id) return false;
  if (record.main_data_len > 0 && std::memcmp(again->main_data, record.main_data, record.main_data_len) != 0) {
    return false;
  }
  for (int id = 0; id <= record.max_block_id; ++id) {
    if (!same_block(record.blocks[id], again->blocks[id], id == keep_image_of)) return false;
  }
  return true;
}

#endif

}  // namespace

std::span<const std::byte> serialize_record(const DecodedXLogRecord& record, int keep_image_of, EntryBatch& batch) {
  std::span<std::byte> space = batch.allocate(upper_bound_of_size(record, keep_image_of));
  Appender out(space.data());
  out.bytes(&record.header, SizeOfXLogRecord);

  const RelFileLocator* previous = nullptr;
  for (int id = 0; id <= record.max_block_id; ++id) {
    const DecodedBkpBlock& block = record.blocks[id];
    if (!block.in_use) continue;
    append_block_header(out, id, block, id == keep_image_of, previous);
    previous = &block.rlocator;
  }
  if (record.record_origin != InvalidRepOriginId) {
    out.value(static_cast<std::uint8_t>(XLR_BLOCK_ID_ORIGIN));
    out.value(record.record_origin);
  }
  if (TransactionIdIsValid(record.toplevel_xid)) {
    out.value(static_cast<std::uint8_t>(XLR_BLOCK_ID_TOPLEVEL_XID));
    out.value(record.toplevel_xid);
  }
  append_main_data_header(out, record.main_data_len);

  for (int id = 0; id <= record.max_block_id; ++id) {
    const DecodedBkpBlock& block = record.blocks[id];
    if (!block.in_use) continue;
    if (id == keep_image_of) out.bytes(block.bkp_image, block.bimg_len);
    if (block.has_data) out.bytes(block.data, block.data_len);
  }
  out.bytes(record.main_data, record.main_data_len);

  const auto length = static_cast<std::size_t>(out.position() - space.data());
  auto* header = reinterpret_cast<XLogRecord*>(space.data());
  header->xl_tot_len = static_cast<std::uint32_t>(length);
  // Of no use to redo, and all that would not compress in many a record.
  header->xl_prev = InvalidXLogRecPtr;
  header->xl_crc = 0;
  Assert(decodes_to_the_same(record, keep_image_of, space.first(length)));
  return space.first(length);
}

}  // namespace strata::ingest
