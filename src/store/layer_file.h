// A layer file open for reading, and positions in it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/block.h"
#include "store/index_block.h"
#include "store/layer_format.h"

namespace strata {

// Header, footer, top index and filter are read at once and kept. Everything throws StoreError.
class LayerFile {
 public:
  // `path` must hold the layer that `expected` describes. `cache` is borrowed and must live longer.
  LayerFile(Env& env, const std::string& path, const Layer& expected, BlockCache& cache);

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] const Layer& layer() const { return layer_; }
  [[nodiscard]] const std::vector<TopEntry>& top() const { return top_; }
  // False: certainly no version of the key with this hash_key() is in here.
  [[nodiscard]] bool may_contain(std::uint64_t key_hash) const;
  void count_lookup() const { cache_.count_lookup(lookup_mark_); }

  // The content of a block of it.
  [[nodiscard]] BlockCache::Content block(BlockHandle handle) const;
  // REQUIRES: `content` is entry.block's.
  [[nodiscard]] std::string_view value_in(const std::string& content, const IndexEntry& entry) const;
  // Of any entry.
  [[nodiscard]] std::string value(const IndexEntry& entry) const;

 private:
  std::string path_;
  BlockCache& cache_;
  std::uint64_t id_;
  std::unique_ptr<ReadableFile> file_;
  Layer layer_;
  std::vector<TopEntry> top_;
  std::string filter_;  // empty: none
  mutable std::uint64_t lookup_mark_ = 0;
};

// A position in a layer. Borrows the file.
class LayerCursor {
 public:
  explicit LayerCursor(const LayerFile& file) : file_(&file) {}

  // The newest version of `key` with LSN <= at, or what comes behind it.
  void seek(const EncodedKey& key, Lsn at);
  void next();
  [[nodiscard]] bool valid() const { return cursor_.valid(); }
  // Its inline value is valid as long as the cursor stays here.
  [[nodiscard]] const IndexEntry& entry() const { return cursor_.entry(); }
  [[nodiscard]] const LayerFile& file() const { return *file_; }

 private:
  void load(std::size_t block);
  void check_order(const EncodedKey& key, Lsn lsn) const;

  const LayerFile* file_;
  std::size_t block_ = 0;
  BlockCache::Content content_;
  IndexBlockCursor cursor_;
};

}  // namespace strata
