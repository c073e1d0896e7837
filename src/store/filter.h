// The filter of a layer: which keys are certainly not in it (doc/format.md, "Filter").
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace strata {

// `hashes` are those of hash_key(), duplicates allowed.
[[nodiscard]] std::string build_filter(const std::vector<std::uint64_t>& hashes);

[[nodiscard]] bool is_filter(std::string_view filter);
// False: no key with this hash was given to build_filter(). REQUIRES: is_filter(filter).
[[nodiscard]] bool filter_may_contain(std::string_view filter, std::uint64_t hash);

}  // namespace strata
