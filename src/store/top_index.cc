#include "store/top_index.h"

#include <algorithm>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kDictionaryBytes = 12;  // of a handle

bool begins_before(const char* entry, const EncodedKey& key, Lsn at) {
  if (const int order = std::memcmp(entry, key.data(), kKeyBytes); order != 0) return order < 0;
  Lsn lsn = kInvalidLsn;
  std::memcpy(&lsn, entry + kKeyBytes, sizeof lsn);
  return lsn > at;
}

}  // namespace

void append_top_entry(std::string& out, const TopEntry& entry) {
  put_key(out, entry.key);
  put_u64(out, entry.lsn);
  put_u64(out, entry.block.offset);
  put_u32(out, entry.block.size);
}

TopEntries::TopEntries(std::string_view bytes, std::string_view file, std::uint64_t offset) : bytes_(bytes) {
  if (bytes.empty() || bytes.size() % kTopEntryBytes != 0)
    throw_corrupt(file, offset, "the top index has a wrong size");
}

TopEntry TopEntries::at(std::size_t i) const {
  const char* from = bytes_.data() + i * kTopEntryBytes;
  TopEntry entry;
  std::memcpy(entry.key.data(), from, kKeyBytes);
  std::memcpy(&entry.lsn, from + kKeyBytes, sizeof entry.lsn);
  std::memcpy(&entry.block.offset, from + kKeyBytes + 8, sizeof entry.block.offset);
  std::memcpy(&entry.block.size, from + kKeyBytes + 16, sizeof entry.block.size);
  return entry;
}

std::size_t TopEntries::last_before(const EncodedKey& key, Lsn at) const {
  std::size_t low = 0;
  std::size_t high = size();
  while (high - low > 1) {
    const std::size_t middle = low + (high - low) / 2;
    (begins_before(bytes_.data() + middle * kTopEntryBytes, key, at) ? low : high) = middle;
  }
  return low;
}

BlockHandle LayerRoot::dictionary_before(std::uint64_t offset) const {
  const auto behind = std::partition_point(dictionaries.begin(), dictionaries.end(),
                                           [&](const BlockHandle& block) { return block.offset < offset; });
  return behind == dictionaries.begin() ? BlockHandle{} : *(behind - 1);
}

BlockHandle filter_handle(const LayerFooter& footer, const LayerRoot& root, std::size_t i) {
  const std::uint32_t bytes = footer.filter.size / root.filter.blocks;
  return {.offset = footer.filter.offset + i * bytes, .size = bytes};
}

std::string encode_root(const LayerRoot& root) {
  std::string out;
  put_u32(out, static_cast<std::uint32_t>(root.dictionaries.size()));
  for (const BlockHandle& block : root.dictionaries) {
    put_u64(out, block.offset);
    put_u32(out, block.size);
  }
  put_u32(out, root.filter.blocks);
  put_u32(out, root.filter.lines);
  put_u8(out, root.has_parts ? 1 : 0);
  return out;
}

LayerRoot decode_root(std::string_view content, const LayerFooter& footer, std::string_view file) {
  LayerRoot root;
  if (footer.version == kLayerVersion1) {
    root.filter.blocks = footer.filter.size == 0 ? 0 : 1;
    return root;
  }
  ByteReader reader(as_bytes(content), file, footer.top.offset);
  const std::uint32_t dictionaries = reader.u32();
  if (dictionaries > reader.left() / kDictionaryBytes) reader.fail("the number of dictionaries is wrong");
  root.dictionaries.resize(dictionaries);
  std::uint64_t end = kLayerHeaderBytes;
  for (BlockHandle& block : root.dictionaries) {
    block.offset = reader.u64();
    block.size = reader.u32();
    if (block.offset < end) reader.fail("dictionaries are out of order");
    end = block.offset + block.size;
    if (end > footer.values_end || end < block.offset) reader.fail("a dictionary lies outside of the values");
  }
  root.filter.blocks = reader.u32();
  root.filter.lines = reader.u32();
  const bool has_filter = root.filter.blocks != 0;
  if (has_filter != (footer.filter.size != 0) || has_filter != (root.filter.lines != 0) ||
      (has_filter && (footer.filter.size % root.filter.blocks != 0 ||
                      root.filter.lines > footer.filter.size / root.filter.blocks / kFilterLineBytes))) {
    reader.fail("the filter has a wrong size");
  }
  const std::uint8_t has_parts = reader.u8();
  if (has_parts > 1) reader.fail("the top index has too many levels");
  root.has_parts = has_parts == 1;
  root.entries_begin = reader.position();
  return root;
}

}  // namespace strata
