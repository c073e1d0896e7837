#include "store/block.h"

#include <zstd.h>

#include <new>

#include "store/error.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::uint8_t kPlain = 0;
constexpr std::uint8_t kZstd = 1;
constexpr std::uint8_t kZstdWithDictionary = 2;

constexpr std::size_t kMinBlockBytes = 5;
constexpr unsigned kCompressionBits = 2;

std::string encode_head(std::uint8_t compression, std::uint32_t content_bytes) {
  std::string head;
  put_varint(head, (std::uint64_t{content_bytes} << kCompressionBits) | compression);
  return head;
}

}  // namespace

std::size_t EncodedBlock::stored_bytes() const {
  return encode_head(compression, content_bytes).size() + sizeof(std::uint32_t) + payload.size();
}

void EncodedBlock::append_to(std::string& out, std::uint64_t offset) const {
  const std::string head = encode_head(compression, content_bytes);
  out += head;
  put_u32(out, static_cast<std::uint32_t>(checksum_at(offset, as_bytes(head), as_bytes(payload))));
  out += payload;
}

BlockEncoder::BlockEncoder(int compression_level) : context_(ZSTD_createCCtx()), level_(compression_level) {
  if (context_ == nullptr) throw std::bad_alloc();
  ZSTD_CCtx_setParameter(context_, ZSTD_c_compressionLevel, compression_level);
  // The file says which dictionary a block has.
  ZSTD_CCtx_setParameter(context_, ZSTD_c_dictIDFlag, 0);
}

BlockEncoder::~BlockEncoder() { ZSTD_freeCCtx(context_); }

void BlockEncoder::use_dictionary(std::string_view content) {
  auto next = content.empty() ? nullptr : std::make_unique<CompressionDictionary>(content, level_);
  ZSTD_CCtx_refCDict(context_, next == nullptr ? nullptr : next->get());
  dictionary_ = std::move(next);
}

EncodedBlock BlockEncoder::encode(std::string_view content, bool compress) {
  EncodedBlock block;
  block.content_bytes = static_cast<std::uint32_t>(content.size());
  if (compress) {
    block.payload.resize(ZSTD_compressBound(content.size()));
    const std::size_t size =
        ZSTD_compress2(context_, block.payload.data(), block.payload.size(), content.data(), content.size());
    if (ZSTD_isError(size) == 0 && size < content.size()) {
      block.compression = dictionary_ == nullptr ? kZstd : kZstdWithDictionary;
      block.payload.resize(size);
      return block;
    }
  }
  block.compression = kPlain;
  block.payload = content;
  return block;
}

bool StoredBlock::needs_dictionary() const { return compression == kZstdWithDictionary; }

StoredBlock parse_block(Bytes stored, BlockForm form, std::string_view file, std::uint64_t offset) {
  ByteReader reader(stored, file, offset);
  StoredBlock block;
  std::uint64_t content_bytes = 0;
  std::uint64_t sum = 0;
  std::uint64_t found = 0;
  if (form == BlockForm::kWide) {
    block.compression = reader.u8();
    content_bytes = reader.u32();
    const Bytes head = stored.first(reader.position());
    sum = reader.u64();
    block.payload = reader.bytes(reader.left());
    found = checksum_at(offset, head, block.payload);
  } else {
    const std::uint64_t head_number = reader.varint();
    block.compression = head_number & ((1U << kCompressionBits) - 1);
    content_bytes = head_number >> kCompressionBits;
    const Bytes head = stored.first(reader.position());
    sum = reader.u32();
    block.payload = reader.bytes(reader.left());
    found = static_cast<std::uint32_t>(checksum_at(offset, head, block.payload));
  }
  if (sum != found) throw_corrupt(file, offset, "the block's checksum is wrong");
  if (content_bytes > kMaxBlockBytes) throw_corrupt(file, offset, "the block is too large");
  const bool known = block.compression == kPlain || block.compression == kZstd ||
                     (block.compression == kZstdWithDictionary && form == BlockForm::kCompact);
  if (!known) throw_corrupt(file, offset, "the block's compression is unknown");
  block.content_bytes = static_cast<std::uint32_t>(content_bytes);
  return block;
}

BlockDecoder::BlockDecoder() : context_(ZSTD_createDCtx()) {
  if (context_ == nullptr) throw std::bad_alloc();
}

BlockDecoder::~BlockDecoder() { ZSTD_freeDCtx(context_); }

BlockContent BlockDecoder::decode(const StoredBlock& block, const DecompressionDictionary* dictionary,
                                  std::string_view file, std::uint64_t offset) {
  const Bytes payload = block.payload;
  if (block.compression == kPlain) {
    if (payload.size() != block.content_bytes) throw_corrupt(file, offset, "the block's size is wrong");
    BlockContent content(block.content_bytes);
    std::memcpy(content.data(), payload.data(), payload.size());
    return content;
  }
  if (ZSTD_getFrameContentSize(payload.data(), payload.size()) != block.content_bytes) {
    throw_corrupt(file, offset, "the block's size is wrong");
  }
  if (block.needs_dictionary() && dictionary == nullptr) throw_corrupt(file, offset, "the block lacks its dictionary");
  BlockContent content(block.content_bytes);
  const std::size_t size =
      ZSTD_decompress_usingDDict(context_, content.data(), content.size(), payload.data(), payload.size(),
                                 block.needs_dictionary() ? dictionary->get() : nullptr);
  if (ZSTD_isError(size) != 0 || size != content.size()) throw_corrupt(file, offset, "the block does not decompress");
  return content;
}

void BlockSource::require_within_file(BlockHandle block) const {
  if (block.size < kMinBlockBytes) throw_corrupt(name_, block.offset, "a block is too short");
  const std::uint64_t file_bytes = file_->file_bytes();
  if (block.size > 2 * kMaxBlockBytes || block.offset > file_bytes || block.size > file_bytes - block.offset) {
    throw_corrupt(name_, block.offset, "a block is said to lie where the file has none");
  }
}

std::shared_ptr<const DecompressionDictionary> BlockSource::read_dictionary(BlockHandle block) const {
  require_within_file(block);
  // Not through `file_`, which holds the block that asks for it.
  const auto bytes = std::make_unique_for_overwrite<std::byte[]>(block.size);
  file_->file().read(block.offset, {bytes.get(), block.size});
  const StoredBlock stored = parse_block({bytes.get(), block.size}, form_, name_, block.offset);
  if (stored.content_bytes > kMaxDictionaryBytes) throw_corrupt(name_, block.offset, "the dictionary is too large");
  BlockContent content = decoder_->decode(stored, nullptr, name_, block.offset);
  auto dictionary = DecompressionDictionary::make(content.take(), content.size());
  if (dictionary == nullptr) throw_corrupt(name_, block.offset, "the dictionary is damaged");
  return dictionary;
}

}  // namespace strata
