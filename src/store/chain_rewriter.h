// What compaction does to the versions of one key: images are delta-encoded against the version before, and images are
// put in where a chain has grown long. What a reader rebuilds at any LSN stays the same, to the byte.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <utility>
#include <vector>

#include "store/coding.h"
#include "store/incarnations.h"
#include "store/page_rebuilder.h"
#include "store/store.h"

namespace strata {

// A version on its way from input to output.
struct MergedVersion {
  std::uint32_t sequence = 0;
  Version version;
};

// Bounds of a page's chain: what a reader applies at most to a base.
struct ChainBounds {
  std::size_t records = 192;
  std::size_t bytes = 64 * 1024;
  std::size_t statuses = 256;          // the same of a commit-log page, whose versions are small
  std::size_t diff_bytes = 2048;       // a longer diff is not worth it
  std::size_t min_value_bytes = 1024;  // a shorter value stays as it is

  // The bound in versions. Those of kinds that are not named are all bases.
  [[nodiscard]] std::size_t versions_of(KeyKind kind) const {
    if (kind == KeyKind::kPage) return records;
    if (kind == KeyKind::kCommitLog) return statuses;
    return std::numeric_limits<std::size_t>::max();
  }
};

class ChainRewriter {
 public:
  struct Counters {
    std::uint64_t diffs = 0;    // values that became diffs
    std::uint64_t images = 0;   // images put in
    std::uint64_t unknown = 0;  // pages that could not be rebuilt; their versions stay as they are
  };

  // All but `bounds` and `pause` are borrowed. `reader` must see what is older than the versions to come. `pause` is
  // called before each LSN; it may throw, or end the process.
  ChainRewriter(Reader& reader, Incarnations& incarnations, PageRebuilder& rebuilder, const ChainBounds& bounds,
                std::function<void()> pause)
      : reader_(reader),
        incarnations_(incarnations),
        rebuilder_(rebuilder),
        bounds_(bounds),
        pause_(std::move(pause)) {}

  // `versions` are consecutive versions of `key`, oldest first, whole LSNs. `begin_with_image`: the oldest one becomes
  // an image whatever its chain, because what is older has not been rewritten yet.
  void rewrite(const Key& key, std::vector<MergedVersion>& versions, bool begin_with_image);

  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  using Group = std::span<MergedVersion>;  // of one LSN, at the end of out_

  void enter_incarnation(Lsn lsn);
  void forget();
  void add(Group group, bool make_image);
  [[nodiscard]] bool delta_encode(MergedVersion& one);
  void catch_up();
  void note(const Version& version);
  void note(Group group);

  Reader& reader_;
  Incarnations& incarnations_;
  PageRebuilder& rebuilder_;
  ChainBounds bounds_;
  std::function<void()> pause_;
  Counters counters_;

  Key key_;
  bool known_ = false;       // the page's state follows from its base, pending_ included
  Lsn floor_ = kInvalidLsn;  // of the incarnation
  std::size_t records_ = 0;  // since the base
  std::size_t bytes_ = 0;    // of them
  std::vector<MergedVersion> out_;
  Chain before_;                         // what the versions that are rewritten come after
  std::vector<const Version*> pending_;  // known, and not yet applied; they lie in before_ or in out_
};

// Adds versions of `key`, oldest first as ChainRewriter leaves them, to a LayerWriter or a RunWriter.
template <class Output>
void add_newest_first(const Key& key, const std::vector<MergedVersion>& versions, Output& output) {
  for (auto one = versions.rbegin(); one != versions.rend(); ++one) {
    const Version& version = one->version;
    output.add(
        {.key = key, .lsn = version.lsn, .type = version.type, .base = version.base, .value = as_bytes(version.value)},
        one->sequence);
  }
}

}  // namespace strata
