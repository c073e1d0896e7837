// A position in the write-ahead log, and the half-open ranges of them that every file and plan speaks of.
#pragma once

#include <cstdint>
#include <limits>

namespace strata {

// A byte position in WAL, as PostgreSQL's XLogRecPtr. 0 is no position.
using Lsn = std::uint64_t;

inline constexpr Lsn kInvalidLsn = 0;
inline constexpr Lsn kMaxLsn = std::numeric_limits<Lsn>::max();

// All LSNs x with begin <= x < end. A version's LSN is the end LSN of the WAL record that made it.
struct LsnRange {
  Lsn begin = kInvalidLsn;
  Lsn end = kInvalidLsn;

  [[nodiscard]] constexpr bool empty() const { return begin >= end; }
  [[nodiscard]] constexpr bool contains(Lsn lsn) const { return begin <= lsn && lsn < end; }
  friend constexpr bool operator==(const LsnRange&, const LsnRange&) = default;
};

}  // namespace strata
