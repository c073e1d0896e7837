// Index blocks: which versions a layer has, and where their values are (doc/format.md, "Index blocks").
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "store/block.h"
#include "store/coding.h"
#include "store/entry.h"

namespace strata {

// What a format may have inline; a writer may have less.
inline constexpr std::size_t kMaxInlineBytes = 4096;

// A version, and where its value is.
struct IndexEntry {
  EncodedKey key{};
  Lsn lsn = kInvalidLsn;
  std::uint32_t sequence = 0;
  EntryType type = EntryType::kValue;
  bool base = false;
  bool is_inline = false;
  std::uint32_t value_bytes = 0;
  Bytes inline_value;              // when inline; borrowed
  BlockHandle block;               // when not inline
  std::uint32_t value_offset = 0;  // in the block's content
};

class IndexBlockBuilder {
 public:
  // `lsns` is the layer's.
  explicit IndexBlockBuilder(LsnRange lsns) : lsns_(lsns) {}

  // REQUIRES: in the order of versions; value blocks in the order of the file.
  void add(const IndexEntry& entry);
  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] std::size_t bytes() const { return content_.size() + restarts_.size() * 4 + 4; }
  // The content of the block; the builder is empty afterwards.
  [[nodiscard]] std::string finish();

 private:
  LsnRange lsns_;
  std::string content_;
  std::vector<std::uint32_t> restarts_;
  std::size_t count_ = 0;
  IndexEntry last_;
  IndexEntry last_in_block_;  // the last one that is not inline
  bool has_block_ = false;    // ... since the last restart
};

// A position in the content of one index block.
class IndexBlockCursor {
 public:
  IndexBlockCursor() : reader_({}, {}, 0) {}
  // All are borrowed; `file` and `offset` are for messages. Throws kCorrupt.
  IndexBlockCursor(std::string_view content, LsnRange lsns, std::string_view file, std::uint64_t offset);

  void seek_first();
  // The newest version of `key` with LSN <= at, or what comes behind it.
  void seek(const EncodedKey& key, Lsn at);
  // The same from here on. REQUIRES: it does not lie before.
  void advance(const EncodedKey& key, Lsn at);
  // Never goes back in the order of versions, whatever the content.
  void next();
  [[nodiscard]] bool valid() const { return valid_; }
  // Nothing follows the entry here.
  [[nodiscard]] bool at_last() const { return reader_.at_end(); }
  // Its inline value lies in the content.
  [[nodiscard]] const IndexEntry& entry() const { return entry_; }

 private:
  void go_to_restart(std::uint32_t i);
  void read_key();
  void read_place(bool in_full);
  [[nodiscard]] bool before(const EncodedKey& key, Lsn at) const;

  ByteReader reader_;  // over the entries
  Bytes restarts_;
  std::uint32_t restart_count_ = 0;
  LsnRange lsns_;
  IndexEntry entry_;
  BlockHandle block_;                 // of the last entry that is not inline
  std::uint64_t block_position_ = 0;  // behind its value, in the block's content
  bool has_block_ = false;
  bool jumped_ = false;  // to a restart; entry_ is not the one before it
  bool valid_ = false;
};

}  // namespace strata
