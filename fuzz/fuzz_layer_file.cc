// A whole layer file. The input is the file's body: dictionaries, value blocks, index blocks, filter, root; header and
// footer are parsed from it as well, and made afresh with right checksums from its last bytes.
#include "fuzz_env.h"
#include "store/layer_file.h"

namespace {

using namespace strata;

void walk(const std::string& file, const Layer& expected) {
  fuzz::MemoryEnv env(file);
  BlockCache cache(1 << 20);
  const LayerFile layer(env, "fuzz", expected, cache);
  LayerCursor cursor(layer);
  std::size_t steps = 0;
  for (cursor.seek(EncodedKey{}, kMaxLsn); cursor.valid() && ++steps < 10000; cursor.next()) {
    (void)layer.may_contain(hash_key(cursor.entry().key));
    (void)layer.value(cursor.entry());
  }
  cursor.seek(encode_key(expected.info.last_key), 150);
}

// Puts the checksum of a block at its place, when the block lies in the file.
void repair_block(std::string& file, BlockHandle block) {
  if (block.offset > file.size() || block.size > file.size() - block.offset) return;
  const Bytes bytes = as_bytes(file).subspan(block.offset, block.size);
  std::size_t head = 0;
  while (head < bytes.size() && (bytes[head] & std::byte{0x80}) != std::byte{0}) ++head;
  ++head;
  if (bytes.size() < head + sizeof(std::uint32_t) || head > 3) return;
  const auto sum = static_cast<std::uint32_t>(
      checksum_at(block.offset, bytes.first(head), bytes.subspan(head + sizeof(std::uint32_t))));
  std::memcpy(file.data() + block.offset + head, &sum, sizeof sum);
}

// A block's content, where it has one that needs no dictionary.
std::string content_of(const std::string& file, BlockHandle block) {
  BlockDecoder decoder;
  ReadAhead memory(std::make_unique<fuzz::MemoryFile>(file));
  return std::string(BlockSource(memory, "fuzz", BlockForm::kCompact, decoder).read(block).view());
}

void repair_entries(std::string& file, std::string_view entries, bool has_parts) {
  const TopEntries all(entries, "fuzz", 0);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const BlockHandle block = all.at(i).block;
    repair_block(file, block);
    if (has_parts) fuzz::parse([&] { repair_entries(file, content_of(file, block), false); });
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string input(reinterpret_cast<const char*>(data), size);
  Layer layer;
  if (size >= kLayerHeaderBytes + kLayerFooterBytes) {
    fuzz::parse([&] {
      Layer parsed;
      (void)decode_layer_ends(as_bytes(input).first(kLayerHeaderBytes), as_bytes(input).last(kLayerFooterBytes), "fuzz",
                              size, parsed);
    });
  }

  layer.number = 1;
  layer.info.lsns = {.begin = 100, .end = 200};
  layer.info.last_key.block = 1000;
  layer.info.entries = 1;
  layer.info.name = layer_name(layer.number, false, 0, layer.info.lsns);
  LayerFooter footer;
  if (size >= 8) {
    std::uint32_t places[2];
    std::memcpy(places, data + size - sizeof places, sizeof places);
    footer.top = {.offset = kLayerHeaderBytes + places[0] % 256, .size = (places[0] >> 8) % 1024};
    footer.filter = {.offset = kLayerHeaderBytes + places[1] % 1024, .size = (places[1] >> 10) % 256};
  }
  const std::string header = encode_layer_header(layer);
  std::string file = header + input;
  footer.values_end = file.size();
  repair_block(file, footer.top);
  fuzz::parse([&] {
    const std::string content = content_of(file, footer.top);
    const LayerRoot root = decode_root(content, footer, "fuzz");
    for (const BlockHandle& dictionary : root.dictionaries) repair_block(file, dictionary);
    for (std::uint32_t i = 0; i < root.filter.blocks; ++i) {
      repair_block(file, filter_handle(footer, root, i));
    }
    repair_entries(file, std::string_view(content).substr(root.entries_begin), root.has_parts);
  });
  file += encode_layer_footer(footer, layer, header);
  layer.info.bytes = file.size();
  return fuzz::parse([&] { walk(file, layer); });
}
