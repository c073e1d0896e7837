// Turns immutable memtables into layers beside the Writer, in a process of its own. README.md draws how they come and
// go.
#pragma once

#include <functional>
#include <limits>
#include <memory>
#include <string>

#include "store/chain_rewriter.h"
#include "store/page_rebuilder.h"
#include "store/store.h"

namespace strata {

struct FlusherOptions {
  StoreOptions store;
  // A key with a longer chain within the memtable is rewritten; no value becomes a diff here, merges do that.
  ChainBounds bounds{.min_value_bytes = std::numeric_limits<std::size_t>::max()};
  std::size_t memory_bytes = std::size_t{32} << 20;  // for the versions of one key and for older layers
  std::function<void()> pause = [] {};               // called often; may throw, or end the process
};

// One per store at a time, beside one Writer, whose SharedStore it shares. While it is there, the Writer leaves
// flushes to it. Not thread-safe.
class Flusher {
 public:
  // All are borrowed. Touches no file before the first flush().
  Flusher(Env& env, std::string directory, SharedStore& shared, PageRebuilder& rebuilder, FlusherOptions options);
  // Gives back what it has not finished.
  ~Flusher();

  struct Result {
    std::uint64_t bytes = 0;
    ChainRewriter::Counters chains;
  };
  // Flushes the memtable that waits for it: nothing when there is none, or when the Writer went meanwhile. When it
  // throws, nothing is left of the layer, and the Writer flushes that memtable itself.
  std::optional<Result> flush();

  Flusher(const Flusher&) = delete;
  Flusher& operator=(const Flusher&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace strata
