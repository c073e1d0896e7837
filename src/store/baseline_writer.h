// The image layers of a baseline: as many files as it takes, with disjoint ranges of keys.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "store/manifest_owner.h"
#include "store/layer_writer.h"

namespace strata {

class BaselineWriter {
 public:
  // env and manifest are borrowed.
  BaselineWriter(Env& env, ManifestOwner& manifest, Lsn lsn, const StoreOptions& options)
      : env_(env), manifest_(manifest), lsn_(lsn), options_(options.for_baseline()) {}

  [[nodiscard]] Lsn lsn() const { return lsn_; }
  // Written so far.
  [[nodiscard]] std::uint64_t bytes() const;
  // Throws kInvalid for a key that is not above the one before, another LSN, or no base.
  void add(const Entry& entry);
  // Completes the last file and makes all names durable.
  [[nodiscard]] std::vector<Layer> finish();
  // After add() or finish() threw: takes away what was written, as far as that works now.
  void remove_files();

 private:
  void close_layer();

  Env& env_;
  ManifestOwner& manifest_;
  Lsn lsn_;
  StoreOptions options_;
  std::unique_ptr<LayerWriter> current_;
  std::vector<Layer> finished_;
  std::uint64_t finished_bytes_ = 0;
  std::optional<Key> last_key_;
};

}  // namespace strata
