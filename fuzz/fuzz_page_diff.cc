// The input as a damaged diff of a page; and as a page, which its diff from another page must bring back.
#include <vector>

#include "fuzz_env.h"
#include "store/page_diff.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  constexpr std::size_t kPageBytes = 8192;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::vector<char> page(kPageBytes);
  (void)apply_page_diff(input, page);

  const std::string before(page.begin(), page.end());
  std::string after = before;
  input.substr(0, kPageBytes).copy(after.data(), kPageBytes);
  const std::optional<std::string> diff = make_page_diff(before, after, 2 * kPageBytes);
  if (!diff || !apply_page_diff(*diff, page) || std::string(page.begin(), page.end()) != after) __builtin_trap();
  return 0;
}
