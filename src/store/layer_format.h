// Header, footer and names of layer files (doc/format.md, "A layer").
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/block.h"
#include "store/coding.h"
#include "store/store.h"

namespace strata {

inline constexpr std::size_t kLayerHeaderBytes = 32;
inline constexpr std::size_t kLayerFooterBytes = 112;
inline constexpr std::string_view kLayerSuffix = ".layer";

// A layer as the manifest and its own file know it.
struct Layer {
  std::uint64_t number = 0;
  LayerInfo info;
};

[[nodiscard]] std::string layer_name(std::uint64_t number, bool image, int level, LsnRange lsns);

// What a name says of the layer; nothing where it is no layer's name.
struct LayerNumber {
  std::uint64_t number = 0;
  int level = 0;
  LsnRange lsns;
};
[[nodiscard]] std::optional<LayerNumber> parse_layer_name(const std::string& name);

[[nodiscard]] std::string encode_layer_header(const Layer& layer);

// Format versions of layers. The last one is what is written.
inline constexpr std::uint32_t kLayerVersion1 = 1;
inline constexpr std::uint32_t kLayerVersion = 2;

struct LayerFooter {
  std::uint32_t version = kLayerVersion;
  BlockHandle top;
  BlockHandle filter;  // size 0: none
  // Version 1: where values end and index blocks begin. Later: where both end.
  std::uint64_t values_end = 0;

  [[nodiscard]] BlockForm block_form() const {
    return version == kLayerVersion1 ? BlockForm::kWide : BlockForm::kCompact;
  }
};

[[nodiscard]] std::string encode_layer_footer(const LayerFooter& footer, const Layer& layer, std::string_view header);

// Parses both; `header` and `footer` have their fixed sizes. Fills `layer` (but its file's size). Throws kCorrupt and
// kVersion. `file` is for messages.
[[nodiscard]] LayerFooter decode_layer_ends(Bytes header, Bytes footer, std::string_view file, std::uint64_t file_bytes,
                                            Layer& layer);
// Reads and parses both.
[[nodiscard]] LayerFooter read_layer_ends(const ReadableFile& file, std::uint64_t file_bytes, std::string_view path,
                                          Layer& layer);

}  // namespace strata
