// The bytes in which a page differs from what it was one version before (doc/format.md, "Page diffs").
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace strata {

inline constexpr std::size_t kMaxDiffPageBytes = 8192;

// What makes `after` out of `before`, both of one length of at most kMaxDiffPageBytes; nothing when it would be longer
// than `limit`. What has moved within the page is found where it has moved by a multiple of 8.
[[nodiscard]] std::optional<std::string> make_page_diff(std::string_view before, std::string_view after,
                                                        std::size_t limit);

// False: the diff is damaged, or not of a page of this size. Nothing is written then outside the page.
[[nodiscard]] bool apply_page_diff(std::string_view diff, std::span<char> page);

}  // namespace strata
