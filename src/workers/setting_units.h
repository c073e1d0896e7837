// Times and sizes whose effect cannot be undone: history goes by them. A number without a unit is refused, but for 0
// and -1.
#pragma once

#include <cstdint>

namespace strata::workers {

// Microseconds of a time with a unit ('7d', '36h') or an interval ('7 days'); -1 for '-1'. Returns false for anything
// else, with a hint for a check hook's error.
bool parse_duration(const char* text, std::int64_t* microseconds);

// Megabytes of a size with a unit ('100GB'); 0 and -1 for themselves. As above.
bool parse_size(const char* text, std::int64_t* megabytes);

}  // namespace strata::workers
