#include "store/read_ahead.h"

#include <algorithm>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kWindowBytes = 32 * 1024;
// A piece that begins so little behind the last one follows it: what lies between is of no use to this reader.
constexpr std::size_t kMaxGapBytes = 8 * 1024;
// So many in a row make it likely that there will be more. One page alone may take two.
constexpr int kFollowing = 2;

}  // namespace

Bytes ReadAhead::read(std::uint64_t offset, std::size_t size) {
  const bool follows = offset >= expected_ && offset - expected_ <= kMaxGapBytes;
  following_ = follows ? following_ + 1 : 0;
  expected_ = offset + size;
  if (offset < begin_ || end_ < offset + size) {
    std::size_t bytes = size;
    if (following_ >= kFollowing) {
      bytes = std::max(size, static_cast<std::size_t>(std::min<std::uint64_t>(kWindowBytes, file_bytes_ - offset)));
    }
    if (bytes > room_bytes_) {
      room_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
      room_bytes_ = bytes;
    }
    begin_ = end_ = 0;
    file_->read(offset, {room_.get(), bytes});
    begin_ = offset;
    end_ = offset + bytes;
  }
  return {room_.get() + (offset - begin_), size};
}

}  // namespace strata
