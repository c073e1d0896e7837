// The blocks and dictionaries used last, decoded.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <unordered_map>

#include "store/block.h"
#include "store/store.h"

namespace strata {

// Keeps up to a number of bytes in all. Not thread-safe.
class BlockCache {
 public:
  using Content = std::shared_ptr<const BlockContent>;
  using Dictionary = std::shared_ptr<const DecompressionDictionary>;

  explicit BlockCache(std::size_t capacity) : capacity_(capacity) {}

  // The number of a file, not given to any other file of this cache before or later.
  std::uint64_t new_file_id() { return ++last_file_id_; }

  // The block from the cache, else from `source`; `dictionary` is the handle of the one that it may need, of size 0
  // where there is none. The caller takes `taken_bytes` of it: what is taken whole is not kept.
  [[nodiscard]] Content get(std::uint64_t file_id, const BlockSource& source, BlockHandle block, BlockHandle dictionary,
                            std::size_t taken_bytes = 0);

  // The block from `source`, not kept: for who goes from block to block.
  [[nodiscard]] Content read(std::uint64_t file_id, const BlockSource& source, BlockHandle block,
                             BlockHandle dictionary);

  [[nodiscard]] BlockDecoder& decoder() { return decoder_; }
  void clear();

  // What is done with the files of this cache.
  [[nodiscard]] const ReadCounters& counters() const { return counters_; }
  void count_block(std::size_t bytes) {
    ++counters_.blocks;
    counters_.bytes += bytes;
  }
  // A search in the index of a file whose last search came at `mark`, which is updated.
  void count_lookup(std::uint64_t& mark) {
    ++counters_.lookups;
    if (mark == mark_) return;
    mark = mark_;
    ++counters_.layers;
  }
  void mark_layers() { ++mark_; }

  BlockCache(const BlockCache&) = delete;
  BlockCache& operator=(const BlockCache&) = delete;

 private:
  struct Id {
    std::uint64_t file;
    std::uint64_t offset;
    friend bool operator==(const Id&, const Id&) = default;
  };
  struct Hash {
    std::size_t operator()(const Id& id) const {
      return (id.offset * 0x9E3779B97F4A7C15) ^ (id.file * 0xC2B2AE3D27D4EB4F);
    }
  };
  // A block, or a dictionary.
  struct Cached {
    Id id;
    std::size_t bytes;
    Content content;
    Dictionary dictionary;
  };

  // Null: it is not here.
  [[nodiscard]] Cached* find(const Id& id);
  void add(Cached cached);
  [[nodiscard]] Dictionary get_dictionary(std::uint64_t file_id, const BlockSource& source, BlockHandle block);

  std::size_t capacity_;
  std::size_t used_ = 0;
  std::uint64_t last_file_id_ = 0;
  std::list<Cached> by_use_;  // used last in front
  std::unordered_map<Id, std::list<Cached>::iterator, Hash> by_id_;
  BlockDecoder decoder_;
  ReadCounters counters_;
  std::uint64_t mark_ = 1;
};

}  // namespace strata
