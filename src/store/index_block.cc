#include "store/index_block.h"

#include <algorithm>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kRestartInterval = 64;

enum Flags : std::uint8_t {
  kBase = 1,
  kSameKey = 2,
  kInline = 4,
  kFullBlock = 8,
  kSequence = 16,
  kAllFlags = 31,
};

std::size_t shared_prefix(const EncodedKey& a, const EncodedKey& b) {
  return static_cast<std::size_t>(std::mismatch(a.begin(), a.end(), b.begin()).first - a.begin());
}

}  // namespace

void IndexBlockBuilder::add(const IndexEntry& entry) {
  const bool restart = count_ % kRestartInterval == 0;
  if (restart) {
    restarts_.push_back(static_cast<std::uint32_t>(content_.size()));
    has_block_ = false;
  }
  const bool same_key = !restart && entry.key == last_.key;
  // Index blocks and dictionaries may stand between two value blocks.
  const bool follows = has_block_ && (entry.block.offset == last_in_block_.block.offset ||
                                      entry.block.offset == last_in_block_.block.offset + last_in_block_.block.size);
  const bool full_block = !entry.is_inline && !follows;
  put_u8(content_, static_cast<std::uint8_t>((entry.base ? kBase : 0) | (same_key ? kSameKey : 0) |
                                             (entry.is_inline ? kInline : 0) | (full_block ? kFullBlock : 0) |
                                             (entry.sequence != 0 ? kSequence : 0)));
  put_u8(content_, static_cast<std::uint8_t>(entry.type));
  if (same_key) {
    put_varint(content_, last_.lsn - entry.lsn);
  } else {
    const std::size_t shared = restart ? 0 : shared_prefix(last_.key, entry.key);
    put_u8(content_, static_cast<std::uint8_t>(shared));
    put_bytes(content_, Bytes(reinterpret_cast<const std::byte*>(entry.key.data()), kKeyBytes).subspan(shared));
    put_varint(content_, lsns_.end - 1 - entry.lsn);
  }
  if (entry.sequence != 0) put_varint(content_, entry.sequence);
  put_varint(content_, entry.value_bytes);
  if (entry.is_inline) {
    put_bytes(content_, entry.inline_value);
  } else {
    if (full_block) {
      put_varint(content_, entry.block.offset);
      put_varint(content_, entry.block.size);
      put_varint(content_, entry.value_offset);
    } else {
      put_varint(content_, entry.block.offset == last_in_block_.block.offset ? 0 : entry.block.size);
    }
    last_in_block_ = entry;
    has_block_ = true;
  }
  last_ = entry;
  ++count_;
}

std::string IndexBlockBuilder::finish() {
  for (const std::uint32_t restart : restarts_) put_u32(content_, restart);
  put_u32(content_, static_cast<std::uint32_t>(restarts_.size()));
  std::string result;
  result.swap(content_);
  restarts_.clear();
  count_ = 0;
  return result;
}

IndexBlockCursor::IndexBlockCursor(std::string_view content, LsnRange lsns, std::string_view file, std::uint64_t offset)
    : reader_({}, file, offset), lsns_(lsns) {
  const Bytes bytes = as_bytes(content);
  if (bytes.size() < 4) reader_.fail("an index block is too short");
  std::memcpy(&restart_count_, bytes.data() + bytes.size() - 4, 4);
  const std::size_t room = (bytes.size() - 4) / 4;
  if (restart_count_ == 0 || restart_count_ > room) reader_.fail("an index block's restarts are wrong");
  const std::size_t entries = bytes.size() - 4 - std::size_t{restart_count_} * 4;
  restarts_ = bytes.subspan(entries, std::size_t{restart_count_} * 4);
  reader_ = ByteReader(bytes.first(entries), file, offset);
}

void IndexBlockCursor::go_to_restart(std::uint32_t i) {
  std::uint32_t position;
  std::memcpy(&position, restarts_.data() + std::size_t{i} * 4, 4);
  reader_.set_position(0);
  if (position >= reader_.left()) reader_.fail("an index block's restart is wrong");
  reader_.set_position(position);
  jumped_ = true;
  has_block_ = false;
  next();
}

void IndexBlockCursor::seek_first() { go_to_restart(0); }

bool IndexBlockCursor::before(const EncodedKey& key, Lsn at) const {
  if (const int order = compare(entry_.key, key); order != 0) return order < 0;
  return entry_.lsn > at;
}

void IndexBlockCursor::seek(const EncodedKey& key, Lsn at) {
  // The last restart that comes before what is sought; the first one when none does.
  std::uint32_t low = 0;
  std::uint32_t high = restart_count_;
  while (high - low > 1) {
    const std::uint32_t middle = low + (high - low) / 2;
    go_to_restart(middle);
    (before(key, at) ? low : high) = middle;
  }
  go_to_restart(low);
  advance(key, at);
}

void IndexBlockCursor::advance(const EncodedKey& key, Lsn at) {
  while (valid_ && before(key, at)) next();
}

void IndexBlockCursor::read_key() {
  const std::uint8_t shared = reader_.u8();
  if (shared >= kKeyBytes || (jumped_ && shared != 0)) reader_.fail("an index entry's key is wrong");
  const Bytes rest = reader_.bytes(kKeyBytes - shared);
  if (!jumped_ && std::memcmp(rest.data(), entry_.key.data() + shared, rest.size()) < 0) {
    reader_.fail("an index entry's key is out of order");
  }
  std::memcpy(entry_.key.data() + shared, rest.data(), rest.size());
}

void IndexBlockCursor::read_place(bool in_full) {
  if (in_full) {
    block_.offset = reader_.varint();
    const std::uint64_t size = reader_.varint();
    block_position_ = reader_.varint();
    if (size > 0xffffffff || block_position_ > kMaxBlockBytes) reader_.fail("an index entry's block is wrong");
    block_.size = static_cast<std::uint32_t>(size);
  } else {
    if (!has_block_) reader_.fail("an index entry lacks its block");
    if (const std::uint64_t size = reader_.varint(); size != 0) {
      if (size > 0xffffffff) reader_.fail("an index entry's block is wrong");
      block_ = {.offset = block_.offset + block_.size, .size = static_cast<std::uint32_t>(size)};
      block_position_ = 0;
    }
  }
  has_block_ = true;
  if (block_position_ + entry_.value_bytes > kMaxBlockBytes) reader_.fail("a value is outside its block");
  entry_.block = block_;
  entry_.value_offset = static_cast<std::uint32_t>(block_position_);
  block_position_ += entry_.value_bytes;
}

void IndexBlockCursor::next() {
  valid_ = false;
  if (reader_.at_end()) return;
  const std::uint8_t flags = reader_.u8();
  if ((flags & ~kAllFlags) != 0) reader_.fail("an index entry's flags are unknown");
  const EncodedKey last_key = entry_.key;
  const Lsn last_lsn = entry_.lsn;
  entry_.type = static_cast<EntryType>(reader_.u8());
  entry_.base = (flags & kBase) != 0;
  entry_.is_inline = (flags & kInline) != 0;

  const bool same_key = (flags & kSameKey) != 0;
  if (same_key && jumped_) reader_.fail("a restart leans on the entry before it");
  if (!same_key) read_key();
  const Lsn newest = same_key ? last_lsn : lsns_.end - 1;
  const std::uint64_t distance = reader_.varint();
  if (distance > newest || newest - distance < lsns_.begin) reader_.fail("an index entry's LSN is out of range");
  entry_.lsn = newest - distance;
  if (!jumped_ && entry_.lsn > last_lsn && entry_.key == last_key) reader_.fail("an index entry's LSN is out of order");

  const std::uint64_t sequence = (flags & kSequence) != 0 ? reader_.varint() : 0;
  const std::uint64_t value_bytes = reader_.varint();
  if (sequence > 0xffffffff || value_bytes > kMaxValueBytes) reader_.fail("an index entry's number is too large");
  entry_.sequence = static_cast<std::uint32_t>(sequence);
  entry_.value_bytes = static_cast<std::uint32_t>(value_bytes);
  if (entry_.is_inline) {
    if (value_bytes > kMaxInlineBytes) reader_.fail("an inline value is too long");
    entry_.inline_value = reader_.bytes(value_bytes);
  } else {
    read_place((flags & kFullBlock) != 0);
  }
  jumped_ = false;
  valid_ = true;
}

}  // namespace strata
