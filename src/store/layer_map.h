// The layer map: all layers of one manifest state, immutable, as readers search them.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/layer_file.h"
#include "store/manifest.h"

namespace strata {

// Where a version's value is.
struct LayerVersion {
  const LayerFile* file = nullptr;
  IndexEntry entry;    // inline_value is not set
  Value inline_value;  // when entry.is_inline

  // Throws StoreError. One that is not inline is read.
  [[nodiscard]] Value value() const { return entry.is_inline ? inline_value : file->value(entry); }
  [[nodiscard]] Version read() const {
    return {.lsn = entry.lsn, .type = entry.type, .base = entry.base, .value = value()};
  }
};

// How far a walk goes that begins at the newest version.
enum class Walk {
  kToBase,  // up to and with the first base
  kNewest,  // the first version only
  kAll,     // past bases too
};

// Layers with disjoint ranges of keys, in key order: deltas of one LSN range, or images of any.
class LayerRun {
 public:
  explicit LayerRun(const Layer& first) : lsns(first.info.lsns), image(first.info.image) { add(first); }

  // False: its keys overlap those of the layers here, or its kind or LSN range is another.
  // REQUIRES: its keys do not begin before those of the last layer.
  [[nodiscard]] bool fits(const Layer& layer) const;
  void add(const Layer& layer);

  struct Member {
    Layer layer;
    std::shared_ptr<const LayerFile> file;  // null: not opened yet
  };
  [[nodiscard]] std::vector<Member>& members() { return layers_; }
  [[nodiscard]] const std::vector<Member>& members() const { return layers_; }
  // The first layer that does not end before `key`; members().size() when there is none.
  [[nodiscard]] std::size_t first_reaching(const Key& key) const;

  LsnRange lsns;  // of all of them together
  bool image;

 private:
  std::vector<Member> layers_;
};

class LayerMap {
 public:
  // env and cache are borrowed.
  LayerMap(Env& env, std::string directory, const ManifestState& state, BlockCache& cache);
  // Keeps open what the older map has open.
  void take_open_files(LayerMap& older);

  [[nodiscard]] const StoreIdentity& identity() const { return identity_; }
  [[nodiscard]] const Horizon& horizon() const { return horizon_; }
  [[nodiscard]] Lsn flushed() const { return flushed_; }
  [[nodiscard]] std::vector<LayerInfo> layers() const;

  // Looks for several keys: quickest in ascending order, when neighbours are read out of one block.
  class Search {
   public:
    Search(LayerMap& map, Lsn at, Lsn floor, Walk walk)
        : map_(&map), at_(at), floor_(floor), walk_(walk), places_(map.runs_.size()) {}

    [[nodiscard]] bool is_for(Lsn at, Lsn floor, Walk walk) const {
      return at_ == at && floor_ == floor && walk_ == walk;
    }
    // Appends the versions of `key` in (floor, at] to `out`, newest first, as far as `walk` goes. No value block is
    // read. After an exception this must not be called again.
    void find(const Key& key, std::vector<LayerVersion>& out);

   private:
    // Where an earlier key was found, or would be, in a run.
    struct Place {
      std::size_t member = 0;
      EncodedKey key{};
      std::optional<LayerCursor> cursor;
    };
    LayerCursor& seek(LayerRun& run, Place& place, std::size_t member, const EncodedKey& key);

    LayerMap* map_;
    Lsn at_;
    Lsn floor_;
    Walk walk_;
    std::vector<Place> places_;
  };

  // The chain of `key` at `at`, oldest first, down to its base.
  [[nodiscard]] Chain chain(const Key& key, Lsn at, Lsn floor);

  // Newest range first; images before deltas that end at the same LSN.
  [[nodiscard]] std::vector<LayerRun>& runs() { return runs_; }
  [[nodiscard]] const LayerFile& open(LayerRun::Member& member);

  [[nodiscard]] static LayerVersion version_at(const LayerCursor& cursor);

 private:
  Env& env_;
  std::string directory_;
  BlockCache& cache_;
  StoreIdentity identity_;
  Horizon horizon_;
  Lsn flushed_;
  std::vector<LayerRun> runs_;
};

}  // namespace strata
