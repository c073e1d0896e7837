#include "store/gc_plan.h"

#include <algorithm>
#include <map>
#include <utility>

#include "store/no_postgres.h"

namespace strata {

namespace {

// A run is split for no less than this part of what garbage collection takes away.
constexpr double kWorthSplitting = 0.25;

using Runs = std::map<Lsn, std::vector<Layer>>;  // by the begin of their range: oldest first

double part_up_to(LsnRange lsns, Lsn lsn) {
  if (lsn < lsns.begin) return 0;
  if (lsn >= lsns.end - 1) return 1;
  return static_cast<double>(lsn - lsns.begin + 1) / static_cast<double>(lsns.end - lsns.begin);
}

}  // namespace

HistorySize::HistorySize(const std::vector<LayerInfo>& layers) {
  std::map<Lsn, Run> runs;
  for (const LayerInfo& layer : layers) {
    if (layer.image) {
      images_ += layer.bytes;
      continue;
    }
    deltas_ += layer.bytes;
    Run& run = runs[layer.lsns.begin];
    run.lsns = layer.lsns;
    run.bytes += layer.bytes;
  }
  for (const auto& [begin, run] : runs) runs_.push_back(run);
}

std::uint64_t HistorySize::deltas_up_to(Lsn lsn) const {
  double bytes = 0;
  for (const Run& run : runs_) bytes += static_cast<double>(run.bytes) * part_up_to(run.lsns, lsn);
  return static_cast<std::uint64_t>(bytes);
}

Lsn HistorySize::end_of_first(std::uint64_t bytes) const {
  std::uint64_t before = 0;
  for (const Run& run : runs_) {
    if (before + run.bytes >= bytes) {
      const double part =
          static_cast<double>(bytes - before) / static_cast<double>(std::max<std::uint64_t>(run.bytes, 1));
      const auto length = static_cast<double>(run.lsns.end - 1 - run.lsns.begin);
      return std::min(run.lsns.begin + static_cast<Lsn>(part * length), run.lsns.end - 1);
    }
    before += run.bytes;
  }
  return kMaxLsn;
}

std::optional<GcPlan> plan_gc(const ManifestState& state, Lsn cutoff) {
  GcPlan plan;
  Runs runs;
  for (const auto& [number, layer] : state.layers) {
    if (layer.info.image) {
      plan.images.push_back(layer);
    } else if (layer.info.lsns.begin <= cutoff) {
      runs[layer.info.lsns.begin].push_back(layer);
    }
  }
  if (runs.empty()) return std::nullopt;
  const auto by_key = [](const Layer& a, const Layer& b) { return a.info.first_key < b.info.first_key; };
  std::sort(plan.images.begin(), plan.images.end(), by_key);
  double whole = 0;
  double partial = 0;
  for (auto& [begin, layers] : runs) {
    std::sort(layers.begin(), layers.end(), by_key);
    double bytes = 0;
    for (const Layer& layer : layers) bytes += static_cast<double>(layer.info.bytes);
    const double part = part_up_to(layers.front().info.lsns, cutoff);
    (part < 1 ? partial : whole) += bytes * part;
  }
  const LsnRange newest = runs.rbegin()->second.front().info.lsns;
  plan.cutoff = cutoff;
  if (newest.end - 1 > cutoff) {
    if (partial < kWorthSplitting * (whole + partial)) {
      runs.erase(std::prev(runs.end()));
      plan.cutoff = newest.begin - 1;
    } else {
      plan.split = runs.rbegin()->second;
    }
  }
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) plan.runs.push_back(run->second);
  return plan;
}

}  // namespace strata
