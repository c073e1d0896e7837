// The time index: commits and aborts whose timestamp is later than any before. They rise in time and in LSN together.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "store/store.h"

namespace strata {

struct TimeMark {
  std::int64_t time = 0;  // microseconds since 2000-01-01 UTC
  Lsn lsn = kInvalidLsn;  // end of the record
};

// Any time at or after the mark's stands for an LSN at or after the mark's; so the two of them may be a horizon.
// Nothing when there is no such mark.
[[nodiscard]] std::optional<TimeMark> newest_mark_by_time(Reader& reader, std::int64_t time);
[[nodiscard]] std::optional<TimeMark> newest_mark_by_lsn(Reader& reader, Lsn lsn);

}  // namespace strata
