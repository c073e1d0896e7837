// A layer file open for reading, and positions in it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/block_cache.h"
#include "store/index_block.h"
#include "store/layer_format.h"
#include "store/top_index.h"

namespace strata {

// Header, footer and root are read at once and kept; blocks of the filter are read when they are asked for, and
// kept too. Everything throws StoreError.
class LayerFile {
 public:
  // `path` must hold the layer that `expected` describes. `cache` is borrowed and must live longer.
  LayerFile(Env& env, const std::string& path, const Layer& expected, BlockCache& cache);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const Layer& layer() const { return layer_; }
  // False: certainly no version of the key with this hash_key() is in here. A damaged filter rules nothing out.
  [[nodiscard]] bool may_contain(std::uint64_t key_hash) const;
  void count_lookup() const { cache_.count_lookup(lookup_mark_); }

  // The content of a block of it, of which the caller takes `taken_bytes` (BlockCache::get).
  [[nodiscard]] BlockCache::Content block(BlockHandle handle, std::size_t taken_bytes = 0) const;
  // The same past the cache, for who goes from block to block.
  [[nodiscard]] BlockCache::Content next_block(BlockHandle handle) const;
  // REQUIRES: `content` is entry.block's.
  [[nodiscard]] std::string_view value_in(const BlockContent& content, const IndexEntry& entry) const;
  // Of any entry; an inline one is copied.
  [[nodiscard]] Value value(const IndexEntry& entry) const;

  // The entries at the root of the index: they name index blocks, or with has_parts() parts of the top index, which
  // name them.
  [[nodiscard]] const TopEntries& root_entries() const { return root_entries_; }
  [[nodiscard]] bool has_parts() const { return root_.has_parts; }

 private:
  [[nodiscard]] BlockSource source() const;
  [[nodiscard]] std::string_view filter_block(std::size_t i) const;
  [[nodiscard]] bool filter_may_contain(std::uint64_t key_hash) const;

  std::string path_;
  BlockCache& cache_;
  std::uint64_t id_;
  mutable ReadAhead file_;
  Layer layer_;
  LayerFooter ends_;
  BlockCache::Content root_content_;
  LayerRoot root_;
  TopEntries root_entries_;
  mutable std::vector<std::optional<BlockContent>> filter_;
  mutable std::uint64_t lookup_mark_ = 0;
};

// A position in a layer. Borrows the file.
class LayerCursor {
 public:
  explicit LayerCursor(const LayerFile& file) : file_(&file) {}

  // The newest version of `key` with LSN <= at, or what comes behind it.
  void seek(const EncodedKey& key, Lsn at);
  // The same, quicker where that is near. REQUIRES: every entry that was passed since the last seek() has a lesser key.
  void advance(const EncodedKey& key, Lsn at);
  void next();
  [[nodiscard]] bool valid() const { return cursor_.valid(); }
  // Its inline value is valid as long as the cursor stays here.
  [[nodiscard]] const IndexEntry& entry() const { return cursor_.entry(); }
  // The value of the entry here. REQUIRES: it is inline.
  [[nodiscard]] Value inline_value() const;
  // The same, wherever it is.
  [[nodiscard]] Value value() const;
  [[nodiscard]] const LayerFile& file() const { return *file_; }

 private:
  void load_part(std::size_t i);
  void load_block(std::size_t i);
  // To the begin of the block behind this one.
  void go_on_in_block(std::size_t i);
  void enter_block(std::size_t i, BlockHandle handle, BlockCache::Content content);
  [[nodiscard]] bool load_next_block();
  // Behind the entries of this block, what is sought is the first of the next one.
  void settle(const EncodedKey& key, Lsn at);
  void check_order(const EncodedKey& key, Lsn lsn) const;

  const LayerFile* file_;
  std::size_t part_ = 0;  // of the root's entries, where they name parts
  BlockCache::Content part_content_;
  TopEntries entries_;  // that name index blocks
  std::size_t block_ = 0;
  std::uint64_t block_offset_ = 0;
  BlockCache::Content content_;
  IndexBlockCursor cursor_;
};

}  // namespace strata
