// A whole layer file. The input is the file's body: value blocks, index blocks, top index, filter; header and footer
// are parsed from it as well, and made afresh with right checksums from its last bytes.
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
  if (block.size < kBlockHeadBytes || block.offset > file.size() || block.size > file.size() - block.offset) return;
  file[block.offset + 3] = 0;
  file[block.offset + 4] = 0;
  const Bytes bytes = as_bytes(file).subspan(block.offset, block.size);
  const std::uint64_t sum = checksum_at(block.offset, bytes.first(5), bytes.subspan(kBlockHeadBytes));
  std::memcpy(file.data() + block.offset + 5, &sum, sizeof sum);
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
  repair_block(file, footer.filter);
  repair_block(file, footer.top);
  fuzz::parse([&] {
    BlockDecoder decoder;
    const std::string top = read_block(fuzz::MemoryFile(file), "fuzz", footer.top, decoder);
    for (const TopEntry& entry : decode_top_index(top, "fuzz", 0)) repair_block(file, entry.block);
  });
  file += encode_layer_footer(footer, layer, header);
  layer.info.bytes = file.size();
  return fuzz::parse([&] { walk(file, layer); });
}
