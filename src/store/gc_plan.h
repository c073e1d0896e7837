// What to rewrite when history up to an LSN goes.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <vector>

#include "store/manifest.h"

namespace strata {

// Multixacts that precede `oldest` in their circle of 2^32 numbers, so that nobody asks for their members any more.
class OldMultixacts {
 public:
  // Nothing: all of them may still be asked for.
  explicit OldMultixacts(std::optional<std::uint32_t> oldest) : oldest_(oldest) {}

  [[nodiscard]] bool contains(const Key& key) const {
    return key.kind == KeyKind::kMultiXact && oldest_ && key.block - *oldest_ >= kHalf;
  }
  // Calls visit(first, last) for ranges of keys that hold them all, and no other.
  template <class Visit>
  void visit_ranges(Visit&& visit) const {
    if (!oldest_) return;
    const std::uint32_t first = *oldest_ - kHalf;
    const std::uint32_t last = *oldest_ - 1;
    if (first <= last) {
      visit(key_of(first), key_of(last));
    } else {
      visit(key_of(0), key_of(last));
      visit(key_of(first), key_of(std::numeric_limits<std::uint32_t>::max()));
    }
  }

 private:
  static constexpr std::uint32_t kHalf = std::uint32_t{1} << 31;
  static Key key_of(std::uint32_t multixact) { return {.kind = KeyKind::kMultiXact, .block = multixact}; }

  std::optional<std::uint32_t> oldest_;
};

// Images, and the runs of deltas above them that hold anything at or below the cutoff.
struct GcPlan {
  Lsn cutoff = kInvalidLsn;                 // what is at or below it becomes images
  std::vector<Layer> images;                // all of them, in key order
  std::vector<std::vector<Layer>> runs;     // newest first; layers ascend by key
  std::optional<std::vector<Layer>> split;  // among them the newest one, when the cutoff goes through it
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

// Nothing when no version of a delta layer is at or below `cutoff`. The cutoff moves down to the end of a run where
// going on would split the next one for little.
[[nodiscard]] std::optional<GcPlan> plan_gc(const ManifestState& state, Lsn cutoff);

}  // namespace strata
