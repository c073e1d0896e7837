#include "store/page_diff.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "store/coding.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kHunkHeaderBytes = 4;
constexpr std::size_t kWord = 8;
// In the length of a hunk whose bytes are those of the page before at another place.
constexpr std::uint16_t kMoved = 0x8000;
constexpr std::size_t kMovedHunkBytes = 6;
// A shorter diff is not worth looking for what has moved.
constexpr std::size_t kShortDiffBytes = 128;
constexpr std::size_t kShortestMove = 16;

// The first position at or behind `from` where the two differ; their size when there is none.
std::size_t next_difference(std::string_view a, std::string_view b, std::size_t from) {
  for (; from + kWord <= a.size(); from += kWord) {
    if (std::memcmp(a.data() + from, b.data() + from, kWord) != 0) break;
  }
  while (from < a.size() && a[from] == b[from]) ++from;
  return from;
}

void put_hunk_header(std::string& diff, std::size_t offset, std::size_t length) {
  put_fixed(diff, static_cast<std::uint16_t>(offset));
  put_fixed(diff, static_cast<std::uint16_t>(length));
}

std::optional<std::string> diff_in_place(std::string_view before, std::string_view after, std::size_t limit) {
  std::string diff;
  std::size_t begin = next_difference(before, after, 0);
  while (begin < after.size()) {
    std::size_t end = begin + 1;
    std::size_t next = next_difference(before, after, end);
    // Bytes that are the same cost less than the header of another hunk.
    while (next < after.size() && next - end <= kHunkHeaderBytes) {
      end = next + 1;
      next = next_difference(before, after, end);
    }
    if (diff.size() + kHunkHeaderBytes + (end - begin) > limit) return std::nullopt;
    put_hunk_header(diff, begin, end - begin);
    diff.append(after.substr(begin, end - begin));
    begin = next;
  }
  return diff;
}

// Where in a page to look for the bytes that stand at some place of a later one.
class MoveFinder {
 public:
  MoveFinder(std::string_view before, std::string_view after) : before_(before), after_(after) {
    // The lowest place of a word wins: what is repeated over a stretch is found at its begin.
    for (std::size_t at = (before.size() / kWord) * kWord; at >= kWord; at -= kWord) {
      places_[slot(before, at - kWord)] = static_cast<std::uint16_t>(at - kWord);
    }
  }

  // Sets *source to where the bytes at `at` come from. Returns for how long, 0 when they come from nowhere.
  [[nodiscard]] std::size_t find(std::size_t at, std::size_t* source) {
    // Neighbours mostly move together.
    if (try_place(at, at - distance_, source)) return length_;
    if (at + kWord <= after_.size() && try_place(at, places_[slot(after_, at)], source)) return length_;
    return 0;
  }

 private:
  static std::size_t slot(std::string_view page, std::size_t at) {
    std::uint64_t word;
    std::memcpy(&word, page.data() + at, sizeof word);
    return (word * 0x9E3779B97F4A7C15) >> (64 - kSlotBits);
  }

  bool try_place(std::size_t at, std::size_t place, std::size_t* source) {
    if (place >= before_.size()) return false;
    const std::string_view from = before_.substr(place);
    const std::string_view to = after_.substr(at);
    const auto same = std::mismatch(from.begin(), from.begin() + std::min(from.size(), to.size()), to.begin());
    length_ = static_cast<std::size_t>(same.first - from.begin());
    if (length_ < kShortestMove) return false;
    *source = place;
    distance_ = at - place;
    return true;
  }

  static constexpr int kSlotBits = 11;

  std::string_view before_;
  std::string_view after_;
  std::array<std::uint16_t, std::size_t{1} << kSlotBits> places_{};
  std::size_t distance_ = 0;  // of the last move, forwards; wraps around for one backwards
  std::size_t length_ = 0;
};

std::optional<std::string> diff_with_moves(std::string_view before, std::string_view after, std::size_t limit) {
  MoveFinder finder(before, after);
  std::string diff;
  std::size_t begin = next_difference(before, after, 0);
  while (begin < after.size()) {
    std::size_t end = begin;
    std::size_t next = begin;
    std::size_t moved = 0;
    std::size_t source = 0;
    while (end < after.size()) {
      moved = finder.find(end, &source);
      if (moved > 0) break;
      next = next_difference(before, after, end);
      if (next > end + kHunkHeaderBytes) break;
      ++end;
    }
    if (end > begin) {
      put_hunk_header(diff, begin, end - begin);
      diff.append(after.substr(begin, end - begin));
    }
    if (moved > 0) {
      put_hunk_header(diff, end, moved | kMoved);
      put_fixed(diff, static_cast<std::uint16_t>(source));
    }
    if (diff.size() > limit) return std::nullopt;
    begin = next_difference(before, after, end + moved);
  }
  return diff;
}

// A hunk of a diff.
struct Hunk {
  std::size_t offset = 0;
  std::size_t length = 0;
  bool moved = false;
  std::size_t source = 0;  // when moved
  std::string_view bytes;  // else
};

// Takes the first hunk off `diff`. False: there is none within a page of this size.
bool take_hunk(std::string_view& diff, std::size_t page_bytes, Hunk& hunk) {
  std::uint16_t numbers[3];
  if (diff.size() < kHunkHeaderBytes) return false;
  std::memcpy(numbers, diff.data(), kHunkHeaderBytes);
  hunk.moved = (numbers[1] & kMoved) != 0;
  hunk.offset = numbers[0];
  hunk.length = numbers[1] & ~kMoved;
  if (hunk.length == 0 || hunk.offset + hunk.length > page_bytes) return false;
  if (hunk.moved) {
    if (diff.size() < kMovedHunkBytes) return false;
    std::memcpy(&numbers[2], diff.data() + kHunkHeaderBytes, sizeof numbers[2]);
    hunk.source = numbers[2];
    diff.remove_prefix(kMovedHunkBytes);
    return hunk.source + hunk.length <= page_bytes;
  }
  diff.remove_prefix(kHunkHeaderBytes);
  if (hunk.length > diff.size()) return false;
  hunk.bytes = diff.substr(0, hunk.length);
  diff.remove_prefix(hunk.length);
  return true;
}

}  // namespace

std::optional<std::string> make_page_diff(std::string_view before, std::string_view after, std::size_t limit) {
  auto in_place = diff_in_place(before, after, limit);
  if (in_place && in_place->size() <= kShortDiffBytes) return in_place;
  auto with_moves = diff_with_moves(before, after, in_place ? in_place->size() : limit);
  return with_moves ? with_moves : in_place;
}

bool apply_page_diff(std::string_view diff, std::span<char> page) {
  if (page.size() > kMaxDiffPageBytes) return false;
  std::array<char, kMaxDiffPageBytes> before;
  bool has_before = false;
  Hunk hunk;
  for (std::string_view rest = diff; !rest.empty();) {
    if (!take_hunk(rest, page.size(), hunk)) return false;
    has_before = has_before || hunk.moved;
  }
  if (has_before) std::memcpy(before.data(), page.data(), page.size());
  while (!diff.empty()) {
    if (!take_hunk(diff, page.size(), hunk)) return false;
    std::memcpy(page.data() + hunk.offset, hunk.moved ? before.data() + hunk.source : hunk.bytes.data(), hunk.length);
  }
  return true;
}

}  // namespace strata
