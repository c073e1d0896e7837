// Blocks of layer files: compressed and checksummed content (doc/format.md, "Blocks").
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "store/coding.h"
#include "store/env.h"
#include "store/store.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace strata {

inline constexpr std::size_t kBlockHeadBytes = 13;
inline constexpr std::size_t kMaxValueBytes = std::size_t{1} << 30;
inline constexpr std::size_t kMaxBlockBytes = kMaxValueBytes + (std::size_t{1} << 20);

// Where a block is in its file; size with its head.
struct BlockHandle {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
};

// A block whose place in the file need not be known yet.
struct EncodedBlock {
  std::uint8_t compression = 0;
  std::uint32_t content_bytes = 0;
  std::string payload;

  [[nodiscard]] std::size_t stored_bytes() const { return kBlockHeadBytes + payload.size(); }
  // The block's bytes, to stand at `offset` of the file.
  void append_to(std::string& out, std::uint64_t offset) const;
};

class BlockEncoder {
 public:
  explicit BlockEncoder(int compression_level);
  ~BlockEncoder();
  // REQUIRES: at most kMaxBlockBytes.
  [[nodiscard]] EncodedBlock encode(std::string_view content, bool compress = true);

  BlockEncoder(const BlockEncoder&) = delete;
  BlockEncoder& operator=(const BlockEncoder&) = delete;

 private:
  ZSTD_CCtx_s* context_;
};

class BlockDecoder {
 public:
  BlockDecoder();
  ~BlockDecoder();
  // The content of the block `stored` that stands at `offset` of `file`. Throws kCorrupt.
  [[nodiscard]] std::string decode(Bytes stored, std::string_view file, std::uint64_t offset);

  BlockDecoder(const BlockDecoder&) = delete;
  BlockDecoder& operator=(const BlockDecoder&) = delete;

 private:
  ZSTD_DCtx_s* context_;
};

// The content of blocks used last, up to a number of bytes in all. Not thread-safe.
class BlockCache {
 public:
  using Content = std::shared_ptr<const std::string>;

  explicit BlockCache(std::size_t capacity) : capacity_(capacity) {}

  // The number of a file, not given to any other file of this cache before or later.
  std::uint64_t new_file_id() { return ++last_file_id_; }
  // From the cache, else read from `file`, verified and decoded. The name is for messages.
  [[nodiscard]] Content get(std::uint64_t file_id, const ReadableFile& file, std::string_view name, BlockHandle block);
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
  struct Cached {
    Id id;
    Content content;
  };

  std::size_t capacity_;
  std::size_t used_ = 0;
  std::uint64_t last_file_id_ = 0;
  std::list<Cached> by_use_;  // used last in front
  std::unordered_map<Id, std::list<Cached>::iterator, Hash> by_id_;
  BlockDecoder decoder_;
  ReadCounters counters_;
  std::uint64_t mark_ = 1;
};

// Reads a block and decodes it, past any cache.
[[nodiscard]] std::string read_block(const ReadableFile& file, std::string_view name, BlockHandle block,
                                     BlockDecoder& decoder);

}  // namespace strata
