#include "store/merge_plan.h"

#include <algorithm>
#include <map>
#include <utility>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr int kMaxLevel = 255;

using Runs = std::map<Lsn, std::vector<Layer>>;  // by the begin of their range: oldest first

}  // namespace

std::optional<MergePlan> plan_merge(const ManifestState& state, std::size_t fan_in, std::size_t max_inputs,
                                    const std::function<bool(LsnRange)>& excluded) {
  std::map<int, Runs> levels;
  for (const auto& [number, layer] : state.layers) {
    if (!layer.info.image) levels[layer.info.level][layer.info.lsns.begin].push_back(layer);
  }
  for (auto& [level, runs] : levels) {
    MergePlan plan{.level = std::min(level + 1, kMaxLevel), .lsns = {}, .runs = {}};
    for (auto& [begin, layers] : runs) {
      if (excluded(layers.front().info.lsns)) {
        // What is on both sides of it must not be merged across it.
        if (plan.runs.size() >= fan_in) break;
        plan.runs.clear();
        continue;
      }
      if (plan.runs.size() == max_inputs) break;
      std::sort(layers.begin(), layers.end(),
                [](const Layer& a, const Layer& b) { return a.info.first_key < b.info.first_key; });
      plan.runs.push_back(layers);
    }
    if (plan.runs.size() < fan_in) continue;
    plan.lsns = {.begin = plan.runs.front().front().info.lsns.begin, .end = plan.runs.back().front().info.lsns.end};
    std::reverse(plan.runs.begin(), plan.runs.end());
    return plan;
  }
  return std::nullopt;
}

}  // namespace strata
