// Which layers to merge next.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <vector>

#include "store/manifest.h"

namespace strata {

// Runs next to each other in LSN, and the level of the run that they become.
struct MergePlan {
  int level = 0;
  LsnRange lsns;
  std::vector<std::vector<Layer>> runs;  // newest first; layers ascend by key
};

// The lowest level with `fan_in(level)` runs or more that `excluded` says nothing against: its oldest runs,
// `max_inputs` at most. Levels are in the order of age, so that what is merged lies side by side.
[[nodiscard]] std::optional<MergePlan> plan_merge(const ManifestState& state,
                                                  const std::function<std::size_t(int level)>& fan_in,
                                                  std::size_t max_inputs,
                                                  const std::function<bool(LsnRange)>& excluded);

// What is worth merging when nothing else wants the machine: the newest runs of all levels, `max_inputs` at most, up to
// the last one that does not outweigh those before it. What such a merge has made becomes part of a run that is larger
// by half or more when it is rewritten, so that history is rewritten seldom however often it comes to rest.
[[nodiscard]] std::optional<MergePlan> plan_idle_merge(const ManifestState& state, std::size_t max_inputs,
                                                       const std::function<bool(LsnRange)>& excluded);

}  // namespace strata
