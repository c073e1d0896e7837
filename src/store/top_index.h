// The top of a layer's index: which block holds which part of it (doc/format.md, "Top index").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "store/filter.h"
#include "store/layer_format.h"

namespace strata {

inline constexpr std::size_t kTopEntryBytes = 38;

// A block and what it begins with: an index block, or a part of the top index.
struct TopEntry {
  EncodedKey key{};
  Lsn lsn = kInvalidLsn;
  BlockHandle block;
};

void append_top_entry(std::string& out, const TopEntry& entry);

// Entries as they stand in a block, which is borrowed.
class TopEntries {
 public:
  TopEntries() = default;
  // Throws kCorrupt when it is not whole entries, or none.
  TopEntries(std::string_view bytes, std::string_view file, std::uint64_t offset);

  [[nodiscard]] std::size_t size() const { return bytes_.size() / kTopEntryBytes; }
  // REQUIRES: i < size().
  [[nodiscard]] TopEntry at(std::size_t i) const;
  // The last entry that begins before the newest version of `key` with LSN <= at; the first one when none does.
  [[nodiscard]] std::size_t last_before(const EncodedKey& key, Lsn at) const;

 private:
  std::string_view bytes_;
};

// What is read when a layer is opened.
struct LayerRoot {
  std::vector<BlockHandle> dictionaries;  // in the order of the file
  FilterShape filter;
  bool has_parts = false;  // the entries name parts of the top index, whose entries name index blocks
  std::size_t entries_begin = 0;

  // The dictionary that the block at `offset` may need: the last one before it. Of size 0: there is none.
  [[nodiscard]] BlockHandle dictionary_before(std::uint64_t offset) const;
};

// A block of the filter: all are of one size. REQUIRES: i < root.filter.blocks.
[[nodiscard]] BlockHandle filter_handle(const LayerFooter& footer, const LayerRoot& root, std::size_t i);

// What stands before the entries of the top index; they follow.
[[nodiscard]] std::string encode_root(const LayerRoot& root);
// Of format version 1, whose filter is a single block, the number of its lines is not known here, and 0.
[[nodiscard]] LayerRoot decode_root(std::string_view content, const LayerFooter& footer, std::string_view file);

}  // namespace strata
