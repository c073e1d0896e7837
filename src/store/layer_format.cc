#include "store/layer_format.h"

#include <array>
#include <cstdio>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::string_view kHeaderMagic = "STRLAYER";
constexpr std::string_view kFooterMagic = "RECALRTS";
constexpr std::uint8_t kDelta = 1;
constexpr std::uint8_t kImage = 2;

bool is_magic(Bytes bytes, std::string_view magic) {
  return std::memcmp(bytes.data(), magic.data(), magic.size()) == 0;
}

void check_version(std::uint32_t version, std::string_view file) {
  if (version >= kLayerVersion1 && version <= kLayerVersion) return;
  throw StoreError(ErrorKind::kVersion, "file \"" + std::string(file) + "\" has layer format version " +
                                            std::to_string(version) + ", this program reads versions " +
                                            std::to_string(kLayerVersion1) + " to " + std::to_string(kLayerVersion));
}

}  // namespace

std::string layer_name(std::uint64_t number, bool image, int level, LsnRange lsns) {
  char name[96];
  std::snprintf(name, sizeof name, "%s%d-%016llx-%016llx-%016llx", image ? "image" : "delta", level,
                static_cast<unsigned long long>(number), static_cast<unsigned long long>(lsns.begin),
                static_cast<unsigned long long>(lsns.end));
  return name + std::string(kLayerSuffix);
}

std::optional<LayerNumber> parse_layer_name(const std::string& name) {
  char kind[6] = {};
  int level = 0;
  unsigned long long number = 0;
  unsigned long long begin = 0;
  unsigned long long end = 0;
  if (std::sscanf(name.c_str(), "%5[a-z]%d-%16llx-%16llx-%16llx", kind, &level, &number, &begin, &end) != 5) {
    return std::nullopt;
  }
  const bool image = std::string_view(kind) == "image";
  if (layer_name(number, image, level, {.begin = begin, .end = end}) != name) return std::nullopt;
  return LayerNumber{.number = number, .level = level, .lsns = {.begin = begin, .end = end}};
}

std::string encode_layer_header(const Layer& layer) {
  std::string out(kHeaderMagic);
  put_u32(out, kLayerVersion);
  put_u8(out, layer.info.image ? kImage : kDelta);
  put_u8(out, static_cast<std::uint8_t>(layer.info.level));
  put_fixed(out, std::uint16_t{0});
  put_u64(out, layer.number);
  put_u64(out, checksum(as_bytes(out)));
  return out;
}

std::string encode_layer_footer(const LayerFooter& footer, const Layer& layer, std::string_view header) {
  std::string out;
  put_u64(out, footer.top.offset);
  put_u32(out, footer.top.size);
  put_u64(out, footer.filter.offset);
  put_u32(out, footer.filter.size);
  put_u64(out, footer.values_end);
  put_u64(out, layer.info.entries);
  put_key(out, encode_key(layer.info.first_key));
  put_key(out, encode_key(layer.info.last_key));
  put_u64(out, layer.info.lsns.begin);
  put_u64(out, layer.info.lsns.end);
  put_u32(out, kLayerVersion);
  put_u64(out, checksum(as_bytes(std::string(header) + out)));
  out += kFooterMagic;
  return out;
}

LayerFooter decode_layer_ends(Bytes header, Bytes footer, std::string_view file, std::uint64_t file_bytes,
                              Layer& layer) {
  const std::uint64_t footer_begin = file_bytes - kLayerFooterBytes;
  if (!is_magic(header, kHeaderMagic)) throw_corrupt(file, 0, "this is no layer file");
  ByteReader head(header.subspan(kHeaderMagic.size()), file, kHeaderMagic.size());
  const std::uint32_t version = head.u32();
  check_version(version, file);
  const std::uint8_t kind = head.u8();
  layer.info.level = head.u8();
  head.bytes(2);
  layer.number = head.u64();
  if (head.u64() != checksum(header.first(kLayerHeaderBytes - 8)))
    throw_corrupt(file, 0, "the header's checksum is wrong");
  if (kind != kDelta && kind != kImage) throw_corrupt(file, 12, "the layer's kind is unknown");
  layer.info.image = kind == kImage;

  if (!is_magic(footer.last(kFooterMagic.size()), kFooterMagic)) {
    throw_corrupt(file, footer_begin, "the layer has no footer");
  }
  constexpr std::size_t kSummed = kLayerFooterBytes - 16;
  std::string summed;
  put_bytes(summed, header);
  put_bytes(summed, footer.first(kSummed));
  ByteReader sum(footer.subspan(kSummed), file, footer_begin + kSummed);
  if (sum.u64() != checksum(as_bytes(summed))) throw_corrupt(file, footer_begin, "the footer's checksum is wrong");

  ByteReader foot(footer.first(kSummed), file, footer_begin);
  LayerFooter result;
  result.top.offset = foot.u64();
  result.top.size = foot.u32();
  result.filter.offset = foot.u64();
  result.filter.size = foot.u32();
  result.values_end = foot.u64();
  layer.info.entries = foot.u64();
  layer.info.first_key = decode_key(foot.key());
  layer.info.last_key = decode_key(foot.key());
  layer.info.lsns.begin = foot.u64();
  layer.info.lsns.end = foot.u64();
  result.version = foot.u32();
  if (result.version != version) foot.fail("header and footer have two format versions");
  if (layer.info.lsns.empty() || layer.info.last_key < layer.info.first_key) foot.fail("the layer's ranges are wrong");
  layer.info.bytes = file_bytes;
  layer.info.name = layer_name(layer.number, layer.info.image, layer.info.level, layer.info.lsns);
  return result;
}

LayerFooter read_layer_ends(const ReadableFile& file, std::uint64_t file_bytes, std::string_view path, Layer& layer) {
  if (file_bytes < kLayerHeaderBytes + kLayerFooterBytes) {
    throw_corrupt(path, file_bytes, "the file is too short for a layer");
  }
  std::array<std::byte, kLayerHeaderBytes> header;
  std::array<std::byte, kLayerFooterBytes> footer;
  file.read(0, header);
  file.read(file_bytes - kLayerFooterBytes, footer);
  return decode_layer_ends(header, footer, path, file_bytes, layer);
}

}  // namespace strata
