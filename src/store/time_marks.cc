#include "store/time_marks.h"

#include <limits>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::uint64_t kSignBit = std::uint64_t{1} << 63;
constexpr std::uint64_t kLast = std::numeric_limits<std::uint64_t>::max();

// Times with the sign bit flipped, as keys hold them.
Key key_of(std::uint64_t sortable) {
  return {.kind = KeyKind::kTimeMark,
          .tablespace = static_cast<std::uint32_t>(sortable >> 32),
          .database = static_cast<std::uint32_t>(sortable)};
}

std::uint64_t sortable_time(const Key& key) { return (std::uint64_t{key.tablespace} << 32) | key.database; }

// The newest mark that is old enough, where all before one that is are, too. The reader can only look upwards.
std::optional<TimeMark> newest_mark(Reader& reader, const std::function<bool(const TimeMark&)>& old_enough) {
  std::optional<TimeMark> newest;
  std::uint64_t low = 0;
  std::uint64_t high = kLast;
  while (low <= high) {
    const std::uint64_t middle = low + (high - low) / 2;
    const auto found = reader.first_in(key_of(middle), key_of(kLast), kMaxLsn);
    std::optional<TimeMark> mark;
    if (found) {
      mark = {.time = static_cast<std::int64_t>(sortable_time(found->first) ^ kSignBit), .lsn = found->second.lsn};
    }
    if (mark && old_enough(*mark)) {
      newest = mark;
      low = sortable_time(found->first);
      if (low == kLast) break;
      ++low;
    } else {
      if (middle == 0) break;
      high = middle - 1;
    }
  }
  return newest;
}

}  // namespace

std::optional<TimeMark> newest_mark_by_time(Reader& reader, std::int64_t time) {
  return newest_mark(reader, [&](const TimeMark& mark) { return mark.time <= time; });
}

std::optional<TimeMark> newest_mark_by_lsn(Reader& reader, Lsn lsn) {
  return newest_mark(reader, [&](const TimeMark& mark) { return mark.lsn <= lsn; });
}

}  // namespace strata
