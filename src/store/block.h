// Blocks of layer files: compressed and checksummed content (doc/format.md, "Blocks").
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "store/coding.h"
#include "store/dictionary.h"
#include "store/read_ahead.h"
#include "store/store.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace strata {

inline constexpr std::size_t kMaxValueBytes = std::size_t{1} << 30;
inline constexpr std::size_t kMaxBlockBytes = kMaxValueBytes + (std::size_t{1} << 20);

// How the head of a block is written: blocks of layers of format version 1 and of later ones.
enum class BlockForm : std::uint8_t { kWide = 1, kCompact = 2 };

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

  [[nodiscard]] std::size_t stored_bytes() const;
  // The block's bytes, to stand at `offset` of the file.
  void append_to(std::string& out, std::uint64_t offset) const;
};

class BlockEncoder {
 public:
  explicit BlockEncoder(int compression_level);
  ~BlockEncoder();
  // For all blocks from now on; empty: none.
  void use_dictionary(std::string_view content);
  // REQUIRES: at most kMaxBlockBytes.
  [[nodiscard]] EncodedBlock encode(std::string_view content, bool compress = true);

  BlockEncoder(const BlockEncoder&) = delete;
  BlockEncoder& operator=(const BlockEncoder&) = delete;

 private:
  ZSTD_CCtx_s* context_;
  int level_;
  std::unique_ptr<CompressionDictionary> dictionary_;
};

// The content of a block. A string would be filled with zeroes first.
class BlockContent {
 public:
  explicit BlockContent(std::size_t size) : bytes_(std::make_unique_for_overwrite<char[]>(size)), size_(size) {}
  [[nodiscard]] char* data() { return bytes_.get(); }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::string_view view() const { return {bytes_.get(), size_}; }
  // Leaves nothing here.
  [[nodiscard]] std::unique_ptr<char[]> take() { return std::move(bytes_); }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

// A block as it stands in its file, verified.
struct StoredBlock {
  std::uint8_t compression = 0;
  std::uint32_t content_bytes = 0;
  Bytes payload;  // borrowed

  [[nodiscard]] bool needs_dictionary() const;
};

// The block `stored` that stands at `offset` of `file`. Throws kCorrupt.
[[nodiscard]] StoredBlock parse_block(Bytes stored, BlockForm form, std::string_view file, std::uint64_t offset);

class BlockDecoder {
 public:
  BlockDecoder();
  ~BlockDecoder();
  // `file` and `offset` are for messages. Throws kCorrupt; a block that needs a dictionary and gets none is corrupt.
  [[nodiscard]] BlockContent decode(const StoredBlock& block, const DecompressionDictionary* dictionary,
                                    std::string_view file, std::uint64_t offset);

  BlockDecoder(const BlockDecoder&) = delete;
  BlockDecoder& operator=(const BlockDecoder&) = delete;

 private:
  ZSTD_DCtx_s* context_;
};

// The blocks of one file: reads them, verifies them and decodes them.
class BlockSource {
 public:
  // All are borrowed.
  BlockSource(ReadAhead& file, std::string_view name, BlockForm form, BlockDecoder& decoder)
      : file_(&file), name_(name), form_(form), decoder_(&decoder) {}

  // `dictionary()` is asked for the block's dictionary if it needs one, and may return null. It reads no other block of
  // this file than by read_dictionary().
  template <class Dictionary>
  [[nodiscard]] BlockContent read(BlockHandle block, Dictionary&& dictionary) const {
    require_within_file(block);
    const StoredBlock stored = parse_block(file_->read(block.offset, block.size), form_, name_, block.offset);
    const std::shared_ptr<const DecompressionDictionary> with = stored.needs_dictionary() ? dictionary() : nullptr;
    return decoder_->decode(stored, with.get(), name_, block.offset);
  }
  // One that needs no dictionary.
  [[nodiscard]] BlockContent read(BlockHandle block) const {
    return read(block, [] { return std::shared_ptr<const DecompressionDictionary>(); });
  }
  // The block is a dictionary.
  [[nodiscard]] std::shared_ptr<const DecompressionDictionary> read_dictionary(BlockHandle block) const;

 private:
  void require_within_file(BlockHandle block) const;

  ReadAhead* file_;
  std::string_view name_;
  BlockForm form_;
  BlockDecoder* decoder_;
};

}  // namespace strata
