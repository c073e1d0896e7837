// The time index: a mark for each commit or abort whose timestamp is later than any before. Marks rise in time and in
// LSN together.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "store/store.h"

namespace strata {

// Keys hold times with the sign bit flipped, so that they sort as unsigned numbers do.
inline constexpr std::uint64_t kSignBit = std::uint64_t{1} << 63;

// `time`: microseconds since 2000-01-01 UTC.
[[nodiscard]] inline Key time_mark_key(std::int64_t time) {
  const std::uint64_t sortable = static_cast<std::uint64_t>(time) ^ kSignBit;
  return {.kind = KeyKind::kTimeMark,
          .tablespace = static_cast<std::uint32_t>(sortable >> 32),
          .database = static_cast<std::uint32_t>(sortable)};
}

// REQUIRES: key.kind is kTimeMark.
[[nodiscard]] inline std::int64_t time_of_mark(const Key& key) {
  return static_cast<std::int64_t>(((std::uint64_t{key.tablespace} << 32) | key.database) ^ kSignBit);
}

struct TimeMark {
  std::int64_t time = 0;  // microseconds since 2000-01-01 UTC
  Lsn lsn = kInvalidLsn;  // end of the record
};

// Any time at or after the mark's stands for an LSN at or after the mark's; so the two of them may be a horizon.
// Nothing when there is no such mark.
[[nodiscard]] std::optional<TimeMark> newest_mark_by_time(Reader& reader, std::int64_t time);
[[nodiscard]] std::optional<TimeMark> newest_mark_by_lsn(Reader& reader, Lsn lsn);

// The end of the last commit or abort record that ends at or before `at`, of those whose timestamps are late and of
// those that came out of order alike; kInvalidLsn when there is none. What garbage collection removed is not told
// apart: a result below the horizon says only that there is none above it. REQUIRES: `mark` is the newest one at or
// before `at`, or nothing when there is none.
[[nodiscard]] Lsn last_transaction_end(Reader& reader, const std::optional<TimeMark>& mark, Lsn at);

}  // namespace strata
