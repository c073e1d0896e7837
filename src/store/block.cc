#include "store/block.h"

#include <zstd.h>

#include <new>

#include "store/error.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::uint8_t kPlain = 0;
constexpr std::uint8_t kZstd = 1;
// A block's own cost in the cache besides its content.
constexpr std::size_t kCacheOverhead = 160;

std::string encode_head(std::uint8_t compression, std::uint32_t content_bytes) {
  std::string head;
  put_u8(head, compression);
  put_u32(head, content_bytes);
  return head;
}

}  // namespace

void EncodedBlock::append_to(std::string& out, std::uint64_t offset) const {
  const std::string head = encode_head(compression, content_bytes);
  out += head;
  put_u64(out, checksum_at(offset, as_bytes(head), as_bytes(payload)));
  out += payload;
}

BlockEncoder::BlockEncoder(int compression_level) : context_(ZSTD_createCCtx()) {
  if (context_ == nullptr) throw std::bad_alloc();
  ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, compression_level);
}

BlockEncoder::~BlockEncoder() { ZSTD_freeCCtx(context_); }

EncodedBlock BlockEncoder::encode(std::string_view content, bool compress) {
  EncodedBlock block;
  block.content_bytes = static_cast<std::uint32_t>(content.size());
  if (compress) {
    block.payload.resize(ZSTD_compressBound(content.size()));
    const std::size_t size =
        ZSTD_compress2(context_, block.payload.data(), block.payload.size(), content.data(), content.size());
    if (!ZSTD_isError(size) && size < content.size()) {
      block.compression = kZstd;
      block.payload.resize(size);
      return block;
    }
  }
  block.compression = kPlain;
  block.payload = content;
  return block;
}

BlockDecoder::BlockDecoder() : context_(ZSTD_createDCtx()) {
  if (context_ == nullptr) throw std::bad_alloc();
}

BlockDecoder::~BlockDecoder() { ZSTD_freeDCtx(context_); }

std::string BlockDecoder::decode(Bytes stored, std::string_view file, std::uint64_t offset) {
  ByteReader reader(stored, file, offset);
  const std::uint8_t compression = reader.u8();
  const std::uint32_t content_bytes = reader.u32();
  const std::uint64_t sum = reader.u64();
  const Bytes payload = reader.bytes(reader.left());
  const std::string head = encode_head(compression, content_bytes);
  if (sum != checksum_at(offset, as_bytes(head), payload)) throw_corrupt(file, offset, "the block's checksum is wrong");
  if (content_bytes > kMaxBlockBytes) throw_corrupt(file, offset, "the block is too large");

  std::string content;
  if (compression == kPlain) {
    if (payload.size() != content_bytes) throw_corrupt(file, offset, "the block's size is wrong");
    put_bytes(content, payload);
    return content;
  }
  if (compression != kZstd) throw_corrupt(file, offset, "the block's compression is unknown");
  if (ZSTD_getFrameContentSize(payload.data(), payload.size()) != content_bytes) {
    throw_corrupt(file, offset, "the block's size is wrong");
  }
  content.resize(content_bytes);
  const std::size_t size =
      ZSTD_decompressDCtx(context_, content.data(), content.size(), payload.data(), payload.size());
  if (ZSTD_isError(size) || size != content_bytes) throw_corrupt(file, offset, "the block does not decompress");
  return content;
}

std::string read_block(const ReadableFile& file, std::string_view name, BlockHandle block, BlockDecoder& decoder) {
  if (block.size < kBlockHeadBytes || block.size > 2 * kMaxBlockBytes || block.offset > file.size() ||
      block.size > file.size() - block.offset) {
    throw_corrupt(name, block.offset, "a block is said to lie where the file has none");
  }
  const auto stored = std::make_unique_for_overwrite<std::byte[]>(block.size);
  const std::span<std::byte> bytes(stored.get(), block.size);
  file.read(block.offset, bytes);
  return decoder.decode(bytes, name, block.offset);
}

BlockCache::Content BlockCache::get(std::uint64_t file_id, const ReadableFile& file, std::string_view name,
                                    BlockHandle block) {
  const Id id{.file = file_id, .offset = block.offset};
  if (const auto found = by_id_.find(id); found != by_id_.end()) {
    by_use_.splice(by_use_.begin(), by_use_, found->second);
    return found->second->content;
  }
  auto content = std::make_shared<const std::string>(read_block(file, name, block, decoder_));
  count_block(block.size);
  by_use_.push_front({.id = id, .content = content});
  by_id_[id] = by_use_.begin();
  used_ += content->size() + kCacheOverhead;
  while (used_ > capacity_ && !by_use_.empty()) {
    used_ -= by_use_.back().content->size() + kCacheOverhead;
    by_id_.erase(by_use_.back().id);
    by_use_.pop_back();
  }
  return content;
}

void BlockCache::clear() {
  by_id_.clear();
  by_use_.clear();
  used_ = 0;
}

}  // namespace strata
