#include "redo/record_bounds.h"

extern "C" {
#include "access/heapam_xlog.h"
#include "access/htup_details.h"
#include "access/rmgr.h"
#include "storage/bufpage.h"
}

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "redo/redo_seams.h"

namespace strata::redo {
namespace {

// The next bytes of a block's or a record's data.
class Input {
 public:
  Input(const char* data, std::size_t size) : data_(data), left_(size) {}

  template <class T>
  T take() {
    T value{};
    std::memcpy(&value, skip(sizeof(T)), sizeof(T));
    return value;
  }

  const char* skip(std::size_t bytes) {
    if (bytes > left_) elog(ERROR, "WAL record ends before its data do");
    const char* at = data_;
    data_ += bytes;
    left_ -= bytes;
    return at;
  }

  [[nodiscard]] std::size_t left() const { return left_; }

 private:
  const char* data_;
  std::size_t left_;
};

// Each fragment stays in the page, and the hole that is zeroed afterwards does, too.
void check_generic(const DecodedBkpBlock& block, const char* page) {
  char header[SizeOfPageHeaderData];
  std::memcpy(header, page, sizeof(header));
  Input delta(block.data, block.has_data ? block.data_len : 0);
  while (delta.left() > 0) {
    const std::size_t offset = delta.take<OffsetNumber>();
    const std::size_t length = delta.take<OffsetNumber>();
    if (offset + length > BLCKSZ) {
      elog(ERROR, "generic WAL record changes %zu bytes at offset %zu of a page", length, offset);
    }
    const char* bytes = delta.skip(length);
    if (offset < sizeof(header)) std::memcpy(header + offset, bytes, Min(length, sizeof(header) - offset));
  }
  LocationIndex lower = 0;
  LocationIndex upper = 0;
  std::memcpy(&lower, header + offsetof(PageHeaderData, pd_lower), sizeof(lower));
  std::memcpy(&upper, header + offsetof(PageHeaderData, pd_upper), sizeof(upper));
  if (lower > upper || upper > BLCKSZ) {
    elog(ERROR, "generic WAL record leaves a page with free space from %u to %u", lower, upper);
  }
}

// A tuple of so many bytes behind its fixed header is put together on the stack.
void check_tuple_bytes(std::size_t bytes) {
  if (bytes > MaxHeapTupleSize - SizeofHeapTupleHeader) {
    elog(ERROR, "WAL record makes a tuple with %zu bytes of data", bytes);
  }
}

void check_insert(const DecodedBkpBlock& block) {
  Input data(block.data, block.has_data ? block.data_len : 0);
  data.skip(SizeOfHeapHeader);
  check_tuple_bytes(data.left());
}

// Bytes of data in the tuple at `offset`, which an update copies from.
std::size_t old_data_bytes(const char* page, OffsetNumber offset) {
  PageHeaderData header;
  std::memcpy(&header, page, SizeOfPageHeaderData);
  const std::size_t end = SizeOfPageHeaderData + std::size_t{offset} * sizeof(ItemIdData);
  if (offset == InvalidOffsetNumber || header.pd_lower > BLCKSZ || end > header.pd_lower) {
    elog(ERROR, "WAL record updates item %u, which the page does not have", offset);
  }
  ItemIdData item;
  std::memcpy(&item, page + end - sizeof(item), sizeof(item));
  const std::size_t length = ItemIdGetLength(&item);
  if (!ItemIdIsNormal(&item) || length < SizeofHeapTupleHeader || ItemIdGetOffset(&item) + length > BLCKSZ) {
    elog(ERROR, "WAL record updates item %u, which is not a tuple", offset);
  }
  const auto data_at = static_cast<std::uint8_t>(page[ItemIdGetOffset(&item) + offsetof(HeapTupleHeaderData, t_hoff)]);
  if (data_at > length) elog(ERROR, "WAL record updates item %u, whose tuple has an invalid header", offset);
  return length - data_at;
}

void check_update(const DecodedXLogRecord& record, const DecodedBkpBlock& block, const char* page) {
  Input main(record.main_data, record.main_data_len);
  xl_heap_update update;
  std::memcpy(&update, main.skip(SizeOfHeapUpdate), SizeOfHeapUpdate);
  const bool has_prefix = (update.flags & XLH_UPDATE_PREFIX_FROM_OLD) != 0;
  const bool has_suffix = (update.flags & XLH_UPDATE_SUFFIX_FROM_OLD) != 0;
  Input data(block.data, block.has_data ? block.data_len : 0);
  const std::size_t prefix = has_prefix ? data.take<std::uint16_t>() : 0;
  const std::size_t suffix = has_suffix ? data.take<std::uint16_t>() : 0;
  xl_heap_header header;
  std::memcpy(&header, data.skip(SizeOfHeapHeader), SizeOfHeapHeader);
  check_tuple_bytes(data.left() + prefix + suffix);
  if (prefix + suffix == 0) return;
  if (header.t_hoff < SizeofHeapTupleHeader) elog(ERROR, "WAL record makes a tuple whose data begin in its header");
  data.skip(header.t_hoff - SizeofHeapTupleHeader);
  // Both tuples are in this page, or the other one is not there to be copied from.
  if (record.max_block_id >= 1 && record.blocks[1].in_use)
    elog(ERROR, "WAL record copies from a tuple of another page");
  const std::size_t old_bytes = old_data_bytes(page, update.old_offnum);
  if (prefix + suffix > old_bytes) {
    elog(ERROR, "WAL record copies %zu bytes from a tuple with %zu bytes of data", prefix + suffix, old_bytes);
  }
}

void check_heap(const DecodedXLogRecord& record, const char* page) {
  // The new tuple's block is the first one in each of them.
  const DecodedBkpBlock& block = record.blocks[0];
  if (record.max_block_id < 0 || !block.in_use || !is_target(block)) return;
  switch (record.header.xl_info & XLOG_HEAP_OPMASK) {
    case XLOG_HEAP_INSERT:
      check_insert(block);
      return;
    case XLOG_HEAP_UPDATE:
    case XLOG_HEAP_HOT_UPDATE:
      check_update(record, block, page);
      return;
    default:
      return;
  }
}

}  // namespace

void check_record_bounds(const DecodedXLogRecord& record, const char* page) {
  if (record.header.xl_rmid == RM_HEAP_ID) {
    check_heap(record, page);
  } else if (record.header.xl_rmid == RM_GENERIC_ID) {
    for (int i = 0; i <= record.max_block_id; ++i) {
      const DecodedBkpBlock& block = record.blocks[i];
      if (block.in_use && is_target(block)) check_generic(block, page);
    }
  }
}

}  // namespace strata::redo
