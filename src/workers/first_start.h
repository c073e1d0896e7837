// The very first start of a cluster with strata.
#pragma once

#include <cstdint>

namespace strata::workers {

// A cluster larger than this is not waited for.
inline constexpr std::uint64_t kAwaitedBytes = std::uint64_t{256} << 20;

// Sessions that connect right after that start wait until history has begun, so that what they do first can be
// travelled to: until ten seconds after the start at most, and not for a baseline that is large or held up. From
// _PG_init.
void install_first_start_hook();

// Whether sessions that connect now would wait. Takes no lock.
[[nodiscard]] bool first_history_is_awaited();

// Lowers this worker's priority, unless sessions wait for its work.
void lower_priority_unless_awaited();

}  // namespace strata::workers
