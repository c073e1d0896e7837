#include "store/merge_plan.h"

#include <algorithm>
#include <map>
#include <utility>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr int kMaxLevel = 255;
// The oldest of the runs that are merged when the server is idle has at most so many times the bytes of the others.
constexpr std::uint64_t kMaxShare = 2;

using Runs = std::map<Lsn, std::vector<Layer>>;  // by the begin of their range: oldest first

void sort_by_key(std::vector<Layer>& layers) {
  std::sort(layers.begin(), layers.end(),
            [](const Layer& a, const Layer& b) { return a.info.first_key < b.info.first_key; });
}

int level_of(const std::vector<Layer>& run) { return run.front().info.level; }

std::uint64_t bytes_of(const std::vector<Layer>& run) {
  std::uint64_t bytes = 0;
  for (const Layer& layer : run) bytes += layer.info.bytes;
  return bytes;
}

}  // namespace

std::optional<MergePlan> plan_merge(const ManifestState& state, const std::function<std::size_t(int level)>& fan_in,
                                    std::size_t max_inputs, const std::function<bool(LsnRange)>& excluded) {
  std::map<int, Runs> levels;
  for (const auto& [number, layer] : state.layers) {
    if (!layer.info.image) levels[layer.info.level][layer.info.lsns.begin].push_back(layer);
  }
  for (auto& [level, runs] : levels) {
    const std::size_t enough = fan_in(level);
    MergePlan plan{.level = std::min(level + 1, kMaxLevel), .lsns = {}, .runs = {}};
    for (auto& [begin, layers] : runs) {
      if (excluded(layers.front().info.lsns)) {
        // What is on both sides of it must not be merged across it.
        if (plan.runs.size() >= enough) break;
        plan.runs.clear();
        continue;
      }
      if (plan.runs.size() == max_inputs) break;
      sort_by_key(layers);
      plan.runs.push_back(layers);
    }
    if (plan.runs.size() < enough) continue;
    plan.lsns = {.begin = plan.runs.front().front().info.lsns.begin, .end = plan.runs.back().front().info.lsns.end};
    std::reverse(plan.runs.begin(), plan.runs.end());
    return plan;
  }
  return std::nullopt;
}

std::optional<MergePlan> plan_idle_merge(const ManifestState& state, std::size_t max_inputs,
                                         const std::function<bool(LsnRange)>& excluded) {
  Runs runs;
  for (const auto& [number, layer] : state.layers) {
    if (!layer.info.image) runs[layer.info.lsns.begin].push_back(layer);
  }
  std::size_t count = 0;
  std::size_t seen = 0;
  std::uint64_t newer = 0;
  for (auto run = runs.rbegin(); run != runs.rend() && seen < max_inputs; ++run) {
    if (excluded(run->second.front().info.lsns)) break;
    const std::uint64_t bytes = bytes_of(run->second);
    ++seen;
    if (seen > 1 && bytes <= kMaxShare * newer) count = seen;
    newer += bytes;
  }
  if (count == 0) return std::nullopt;

  MergePlan plan;
  auto run = runs.rbegin();
  for (; plan.runs.size() < count; ++run) {
    sort_by_key(run->second);
    plan.runs.push_back(run->second);
  }
  const int oldest = level_of(plan.runs.back());
  const bool has_neighbour = run != runs.rend() && level_of(run->second) == oldest;
  const bool has_two = level_of(plan.runs[count - 2]) == oldest;
  plan.level = has_two && !has_neighbour ? std::min(oldest + 1, kMaxLevel) : oldest;
  // What has been merged is no flushed memtable.
  if (plan.level == 0) return std::nullopt;
  plan.lsns = {.begin = plan.runs.back().front().info.lsns.begin, .end = plan.runs.front().front().info.lsns.end};
  return plan;
}

}  // namespace strata
