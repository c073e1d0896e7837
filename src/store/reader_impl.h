// What the parts of the Reader share: how it gets a complete view of memtable and layers.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/layer_map.h"
#include "store/store.h"

namespace strata {

// Copied out of a memtable.
struct MemtableVersion {
  Version version;  // its value is what refers to it where that stands in WAL
  std::uint32_t sequence = 0;
  bool in_wal = false;

  // Reads the value.
  void complete(WalValuesOnDemand& wal);
};

// Layers, and up to where they and the memtable may be read together: what is at or below map->flushed() comes from
// the layers, what is above it was copied from the memtable before.
struct View {
  Lsn at = kInvalidLsn;
  std::shared_ptr<LayerMap> map;
};

struct Reader::Impl {
  Impl(Env& env_in, std::string directory_in, SharedStore* shared_in, const ReaderOptions& options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // The newest layer map. REQUIRES: a Use is there.
  std::shared_ptr<LayerMap> current_map();

  // Readings that take several views agree on this.
  [[nodiscard]] Lsn clamp(Lsn at) const { return shared == nullptr ? at : std::min(at, shared->visible_lsn()); }

  // A view at `at` or at what is visible. Where layers do not have all of it, calls collect(memtable, at) for each open
  // memtable, pinned, and clear() before each round of them: a round counts only when no writer came anew meanwhile.
  template <class Clear, class Collect>
  View view(Lsn at, Clear&& clear, Collect&& collect) {
    if (shared == nullptr) {
      clear();
      return {.at = at, .map = current_map()};
    }
    // A layer map contains every version up to its flushed LSN.
    if (auto flushed_map = current_map(); at <= flushed_map->flushed()) {
      clear();
      return {.at = at, .map = std::move(flushed_map)};
    }
    for (;;) {
      const std::uint64_t epoch = shared->epoch();
      const Lsn upto = clamp(at);
      clear();
      shared->visit_memtables([&](const Memtable& memtable, Lsn upper) { collect(memtable, std::min(upto, upper)); });
      View result{.at = upto, .map = current_map()};
      if (shared->epoch() == epoch) return result;
    }
  }

  // While one is there, no file of the layer maps that are taken goes away. They may be nested.
  class Use {
   public:
    explicit Use(Impl& impl) : impl_(impl) {
      if (impl_.uses++ == 0 && impl_.slot >= 0) impl_.shared->pin_layer_map(impl_.slot);
    }
    ~Use() {
      if (--impl_.uses == 0 && impl_.slot >= 0) impl_.shared->unpin_layer_map(impl_.slot);
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Impl& impl_;
  };

  // Runs `body`, which must be repeatable; again when a file went away that no slot protects: a layer's where there is
  // no slot, or WAL whose versions have gone into a layer meanwhile.
  template <class Body>
  auto run(Body&& body) {
    const Use use(*this);
    constexpr int kAttempts = 4;
    for (int attempt = 1;; ++attempt) {
      try {
        return body();
      } catch (const StoreError&) {
        const bool flushed_meanwhile = shared != nullptr && shared->layer_map_version() != map_version;
        if ((slot >= 0 && !flushed_meanwhile) || attempt == kAttempts) throw;
        if (slot >= 0) continue;
        search.reset();
        map.reset();
        cache.clear();
      }
    }
  }

  // The chains (oldest first) of all keys; with kAll past bases, with kNewest one version.
  std::vector<Chain> read(std::span<const Key> keys, Lsn at, Lsn floor, Walk walk);

  struct Found {
    Key key;
    Version version;
  };
  // The first keys in [first, last] with a version in (floor, at], `limit` at most, ascending. Fewer than `limit` do
  // not mean that there are no more: *next is where to go on, if anywhere.
  std::vector<Found> scan_some(const Key& first, const Key& last, Lsn at, Lsn floor, std::size_t limit,
                               std::optional<Key>* next);

  // As Reader::first_mark_in(), or any_mark_in().
  std::optional<std::pair<Key, Version>> first_mark(const Key& first, const Key& last, Lsn at, bool any);

  Env& env;
  std::string directory;
  SharedStore* shared;
  int slot = -1;
  int uses = 0;
  BlockCache cache;
  std::uint64_t map_version = 0;
  std::shared_ptr<LayerMap> map;
  // The last one of read(), in `set`: pages that are read one after the other are often neighbours.
  std::optional<LayerMap::Search> search;
};

// Copied while the memtable is pinned.
[[nodiscard]] MemtableVersion copy_version(const Entry& entry, std::uint32_t sequence);
// Appends the versions of `key` in (floor, at] that a memtable has, as far as `walk` goes.
void collect_versions(const Memtable& memtable, const Key& key, Lsn at, Lsn floor, Walk walk,
                      std::vector<MemtableVersion>& out);
// Orders what came from several memtables, newest first, drops what is at or below `flushed`, and ends it where `walk`
// ends.
void merge_versions(std::vector<MemtableVersion>& versions, Lsn flushed, Walk walk);

}  // namespace strata
