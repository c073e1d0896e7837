#include "store/filter.h"

#include <algorithm>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kBitsPerKey = 10;
constexpr int kProbes = 6;
constexpr std::size_t kMaxLines = 64;  // of a block

struct Bit {
  std::size_t byte;
  unsigned mask;
};

Bit bit_of(std::uint64_t hash, int probe) {
  const std::uint64_t mixed = hash * 0x9E3779B97F4A7C15;
  const auto bit = static_cast<unsigned>(mixed >> (10 + 9 * probe)) & 511;
  return {.byte = bit >> 3, .mask = 1U << (bit & 7)};
}

}  // namespace

FilterShape filter_shape(std::size_t keys) {
  const std::size_t line_bits = kFilterLineBytes * 8;
  const std::size_t lines = std::max<std::size_t>(1, (keys * kBitsPerKey + line_bits - 1) / line_bits);
  const std::size_t blocks = (lines + kMaxLines - 1) / kMaxLines;
  return {.blocks = static_cast<std::uint32_t>(blocks),
          .lines = static_cast<std::uint32_t>((lines + blocks - 1) / blocks)};
}

std::string build_filter(const std::vector<std::uint64_t>& hashes, FilterShape shape) {
  std::string filter(shape.all_lines() * kFilterLineBytes, '\0');
  for (const std::uint64_t hash : hashes) {
    char* line = filter.data() + filter_line(hash, shape.all_lines()) * kFilterLineBytes;
    for (int i = 0; i < kProbes; ++i) {
      const Bit bit = bit_of(hash, i);
      line[bit.byte] = static_cast<char>(static_cast<unsigned char>(line[bit.byte]) | bit.mask);
    }
  }
  return filter;
}

std::uint64_t filter_line(std::uint64_t hash, std::uint64_t lines) { return ((hash >> 32) * lines) >> 32; }

bool line_may_contain(std::string_view line, std::uint64_t hash) {
  for (int i = 0; i < kProbes; ++i) {
    const Bit bit = bit_of(hash, i);
    if ((static_cast<unsigned char>(line[bit.byte]) & bit.mask) == 0) return false;
  }
  return true;
}

}  // namespace strata
