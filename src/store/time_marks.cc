#include "store/time_marks.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::int64_t kFirst = std::numeric_limits<std::int64_t>::min();
constexpr std::int64_t kLast = std::numeric_limits<std::int64_t>::max();

// The time in the middle, rounded down.
std::int64_t middle_of(std::int64_t low, std::int64_t high) {
  const std::uint64_t distance = static_cast<std::uint64_t>(high) - static_cast<std::uint64_t>(low);
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(low) + distance / 2);
}

// The newest mark that is old enough, where all before one that is are, too. The reader can only look upwards.
// Nothing above `at` is read.
std::optional<TimeMark> newest_mark(Reader& reader, Lsn at, const std::function<bool(const TimeMark&)>& old_enough) {
  std::optional<TimeMark> newest;
  std::int64_t low = kFirst;
  std::int64_t high = kLast;
  while (low <= high) {
    const std::int64_t middle = middle_of(low, high);
    // Below `at` all are old enough, so that any one of them is a step upwards.
    const auto found = at == kMaxLsn ? reader.first_mark_in(time_mark_key(middle), time_mark_key(kLast))
                                     : reader.any_mark_in(time_mark_key(middle), time_mark_key(kLast), at);
    std::optional<TimeMark> mark;
    if (found) mark = {.time = time_of_mark(found->first), .lsn = found->second.lsn};
    if (mark && old_enough(*mark)) {
      newest = mark;
      low = mark->time;
      if (low == kLast) break;
      ++low;
    } else {
      if (middle == kFirst) break;
      high = middle - 1;
    }
  }
  return newest;
}

// A commit-log page begins as an image of zeroes when the first transaction ID on it is given out. Every other version
// of it is the end of a transaction.
bool begins_page(const Version& version) {
  const std::string_view page = version.value;
  return version.type == EntryType::kImage && page.find_first_not_of('\0') == std::string_view::npos;
}

}  // namespace

std::optional<TimeMark> newest_mark_by_time(Reader& reader, std::int64_t time) {
  return newest_mark(reader, kMaxLsn, [&](const TimeMark& mark) { return mark.time <= time; });
}

std::optional<TimeMark> newest_mark_by_lsn(Reader& reader, Lsn lsn) {
  return newest_mark(reader, lsn, [&](const TimeMark& mark) { return mark.lsn <= lsn; });
}

Lsn last_transaction_end(Reader& reader, const std::optional<TimeMark>& mark, Lsn at) {
  Lsn end = mark ? mark->lsn : kInvalidLsn;
  const Lsn floor = end;
  // A commit whose timestamp is not later than one before it has no mark. The commit log has all of them.
  constexpr Key kFirstPage{.kind = KeyKind::kCommitLog};
  constexpr Key kLastPage{.kind = KeyKind::kCommitLog, .block = std::numeric_limits<std::uint32_t>::max()};
  reader.scan(
      kFirstPage, kLastPage, at,
      [&](const Key&, const Version& version) {
        if (!begins_page(version)) end = std::max(end, version.lsn);
        return true;
      },
      floor);
  return end;
}

}  // namespace strata
