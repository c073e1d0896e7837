#include "store/page_diff.h"

#include <cstdint>
#include <cstring>

#include "store/coding.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kRunHeadBytes = 4;
constexpr std::size_t kWord = 8;

// The first position at or behind `from` where the two differ; their size when there is none.
std::size_t next_difference(std::string_view a, std::string_view b, std::size_t from) {
  for (; from + kWord <= a.size(); from += kWord) {
    if (std::memcmp(a.data() + from, b.data() + from, kWord) != 0) break;
  }
  while (from < a.size() && a[from] == b[from]) ++from;
  return from;
}

}  // namespace

std::optional<std::string> make_page_diff(std::string_view before, std::string_view after, std::size_t limit) {
  std::string diff;
  std::size_t begin = next_difference(before, after, 0);
  while (begin < after.size()) {
    std::size_t end = begin + 1;
    std::size_t next = next_difference(before, after, end);
    // Bytes that are the same cost less than the head of another run.
    while (next < after.size() && next - end <= kRunHeadBytes) {
      end = next + 1;
      next = next_difference(before, after, end);
    }
    if (diff.size() + kRunHeadBytes + (end - begin) > limit) return std::nullopt;
    put_fixed(diff, static_cast<std::uint16_t>(begin));
    put_fixed(diff, static_cast<std::uint16_t>(end - begin));
    diff.append(after.substr(begin, end - begin));
    begin = next;
  }
  return diff;
}

bool apply_page_diff(std::string_view diff, std::span<char> page) {
  while (!diff.empty()) {
    std::uint16_t offset;
    std::uint16_t length;
    if (diff.size() < kRunHeadBytes) return false;
    std::memcpy(&offset, diff.data(), sizeof offset);
    std::memcpy(&length, diff.data() + sizeof offset, sizeof length);
    diff.remove_prefix(kRunHeadBytes);
    if (length == 0 || length > diff.size() || offset > page.size() || length > page.size() - offset) return false;
    std::memcpy(page.data() + offset, diff.data(), length);
    diff.remove_prefix(length);
  }
  return true;
}

}  // namespace strata
