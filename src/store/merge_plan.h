// Which layers to merge next.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "store/manifest.h"

namespace strata {

// Runs of one level, next to each other in LSN, and the level of the run that they become.
struct MergePlan {
  int level = 0;
  LsnRange lsns;
  std::vector<std::vector<Layer>> runs;  // newest first; layers ascend by key
};

// The lowest level with `fan_in` runs or more that `excluded` says nothing against: its oldest runs, `max_inputs` at
// most. Levels are in the order of age, so that what is merged lies side by side.
[[nodiscard]] std::optional<MergePlan> plan_merge(const ManifestState& state, std::size_t fan_in,
                                                  std::size_t max_inputs,
                                                  const std::function<bool(LsnRange)>& excluded);

}  // namespace strata
