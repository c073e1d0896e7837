// The filter of a layer: which keys are certainly not in it (doc/format.md, "Filter").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

// A filter is lines of this many bytes, each of which is asked alone. A layer has them in blocks of equally many.
inline constexpr std::size_t kFilterLineBytes = 64;

struct FilterShape {
  std::uint32_t blocks = 0;  // 0: there is no filter
  std::uint32_t lines = 0;   // of each block

  [[nodiscard]] std::uint64_t all_lines() const { return std::uint64_t{blocks} * lines; }
};

// For so many keys.
[[nodiscard]] FilterShape filter_shape(std::size_t keys);
// All blocks one after the other. `hashes` are those of hash_key(), duplicates allowed.
[[nodiscard]] std::string build_filter(const std::vector<std::uint64_t>& hashes, FilterShape shape);

// Which of all lines a key with this hash is in. REQUIRES: there are any.
[[nodiscard]] std::uint64_t filter_line(std::uint64_t hash, std::uint64_t lines);
// False: no key with this hash was given to build_filter(). REQUIRES: `line` is the whole line.
[[nodiscard]] bool line_may_contain(std::string_view line, std::uint64_t hash);

}  // namespace strata
