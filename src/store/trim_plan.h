// What to rewrite when history up to an LSN goes.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "store/manifest.h"

namespace strata {

// Images, and the runs of deltas above them that hold anything at or below the cut.
struct TrimPlan {
  Lsn cut = kInvalidLsn;                    // what is at or below it becomes images
  std::vector<Layer> images;                // all of them, in key order
  std::vector<std::vector<Layer>> runs;     // newest first; layers ascend by key
  std::optional<std::vector<Layer>> split;  // among them the newest one, when the cut goes through it
};

// How large history is, and how much of it lies below an LSN. Bytes on disk; what is in one run counts evenly.
class HistorySize {
 public:
  explicit HistorySize(const std::vector<LayerInfo>& layers);

  [[nodiscard]] std::uint64_t images() const { return images_; }
  [[nodiscard]] std::uint64_t deltas() const { return deltas_; }
  [[nodiscard]] std::uint64_t deltas_up_to(Lsn lsn) const;
  // The lowest LSN with at least so many bytes of deltas at or below it; kMaxLsn when there are not so many.
  [[nodiscard]] Lsn end_of_first(std::uint64_t bytes) const;

 private:
  struct Run {
    LsnRange lsns;
    std::uint64_t bytes = 0;
  };

  std::uint64_t images_ = 0;
  std::uint64_t deltas_ = 0;
  std::vector<Run> runs_;  // oldest first
};

// Nothing when no version of a delta layer is at or below `cut`. The cut moves down to the end of a run where going
// on would split the next one for little.
[[nodiscard]] std::optional<TrimPlan> plan_trim(const ManifestState& state, Lsn cut);

}  // namespace strata
