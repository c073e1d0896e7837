// Merges layers beside the Writer, in a process of its own. README.md draws the levels.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "store/chain_rewriter.h"
#include "store/page_rebuilder.h"
#include "store/store.h"

namespace strata {

struct CompactorOptions {
  StoreOptions store;
  ChainBounds bounds;
  int later_compression_level = 9;                      // of what is merged again, more seldom
  std::size_t flushed_fan_in = 24;                      // so many runs of level 0 become one of level 1
  std::size_t fan_in = 8;                               // so many of a later level become one of the next
  std::size_t max_inputs = 64;                          // a backlog of one level, at once
  std::uint64_t layer_bytes = std::uint64_t{64} << 20;  // of one output
  std::size_t memory_bytes = std::size_t{64} << 20;     // for blocks and for the versions of one key
  std::size_t samples = 32;                             // keys that are compared before the inputs go
  std::function<void()> pause = [] {};                  // called often; may throw, or end the process
};

struct MergeResult {
  int level = 0;  // of the outputs
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  std::uint64_t input_bytes = 0;
  std::uint64_t output_bytes = 0;
  ChainRewriter::Counters chains;
};

struct GcResult {
  Lsn cutoff = kInvalidLsn;  // nothing older is there any more
  std::size_t inputs = 0;
  std::size_t outputs = 0;
  std::uint64_t input_bytes = 0;
  std::uint64_t output_bytes = 0;
};

// One per store directory at a time, beside one Writer, whose SharedStore it shares. Not thread-safe.
class Compactor {
 public:
  // env, shared and rebuilder are borrowed. Has what an earlier compactor left behind removed.
  Compactor(Env& env, std::string directory, SharedStore& shared, PageRebuilder& rebuilder, CompactorOptions options);
  ~Compactor();

  // Does the most urgent merge and submits its result: nothing when there is none to do, or when the last one has not
  // been answered. `idle`: nothing else wants the machine, so that what is not urgent may be done as well. Throws
  // StoreError, and what `pause` throws; then nothing is left of the merge. One that failed for kCorrupt is not tried
  // again.
  [[nodiscard]] std::optional<MergeResult> merge(bool idle = false);

  // What is being done is not urgent: `pause` may throw when something else wants the machine after all.
  [[nodiscard]] bool is_idle_merge() const;

  // Turns what is at or below `cutoff`, or somewhat less, into images, and submits that together with the horizon:
  // nothing when there is nothing to do, or when the last merge has not been answered. Nobody may ask for anything
  // below `cutoff` any more, nor for multixacts before `oldest_multixact` as they are at `cutoff`. REQUIRES: cutoff <=
  // horizon.lsn, and cutoff <= the Writer's flushed_lsn(). Throws like merge().
  [[nodiscard]] std::optional<GcResult> collect_garbage(Lsn cutoff, const Horizon& horizon,
                                                        std::optional<std::uint32_t> oldest_multixact = std::nullopt);

  // The Writer has to answer before anything else is merged.
  [[nodiscard]] bool waits_for_writer() const;

  Compactor(const Compactor&) = delete;
  Compactor& operator=(const Compactor&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace strata
