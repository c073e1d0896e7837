#include "store/filter.h"

#include <algorithm>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kLineBytes = 64;
constexpr std::size_t kBitsPerKey = 10;
constexpr int kProbes = 6;

std::size_t line_of(std::uint64_t hash, std::size_t lines) {
  return static_cast<std::size_t>(((hash >> 32) * lines) >> 32) * kLineBytes;
}

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

std::string build_filter(const std::vector<std::uint64_t>& hashes) {
  const std::size_t line_bits = kLineBytes * 8;
  const std::size_t lines = std::max<std::size_t>(1, (hashes.size() * kBitsPerKey + line_bits - 1) / line_bits);
  std::string filter(lines * kLineBytes, '\0');
  for (const std::uint64_t hash : hashes) {
    char* line = filter.data() + line_of(hash, lines);
    for (int i = 0; i < kProbes; ++i) {
      const Bit bit = bit_of(hash, i);
      line[bit.byte] = static_cast<char>(static_cast<unsigned char>(line[bit.byte]) | bit.mask);
    }
  }
  return filter;
}

bool is_filter(std::string_view filter) {
  return !filter.empty() && filter.size() % kLineBytes == 0 && filter.size() / kLineBytes <= 0xffffffff;
}

bool filter_may_contain(std::string_view filter, std::uint64_t hash) {
  const char* line = filter.data() + line_of(hash, filter.size() / kLineBytes);
  for (int i = 0; i < kProbes; ++i) {
    const Bit bit = bit_of(hash, i);
    if ((static_cast<unsigned char>(line[bit.byte]) & bit.mask) == 0) return false;
  }
  return true;
}

}  // namespace strata
