// Writes a run: layers of one kind, level and LSN range, with the keys in ascending order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/layer_writer.h"
#include "store/output_files.h"
#include "store/store.h"

namespace strata {

// Closes a layer when it is large enough, and where a layer that stays lies between. The versions of a key are never
// split between two.
class RunWriter {
 public:
  struct Form {
    bool image;
    int level;
    LsnRange lsns;
  };
  // env, shared and files are borrowed. `layer_bytes`: what is large enough. `barriers`: first keys of layers that
  // stay, ascending.
  RunWriter(Env& env, std::string directory, SharedStore& shared, OutputFiles& files, const StoreOptions& options,
            std::uint64_t layer_bytes, Form form, std::vector<Key> barriers = {});

  // REQUIRES: as LayerWriter::add().
  void add(const Entry& entry, std::uint32_t sequence);
  // Completes the last layer. All are durable but for their names.
  [[nodiscard]] std::vector<Layer> finish();

 private:
  void close_layer();

  Env& env_;
  std::string directory_;
  SharedStore& shared_;
  OutputFiles& files_;
  StoreOptions options_;
  std::uint64_t layer_bytes_;
  Form form_;
  std::vector<Key> barriers_;
  std::size_t next_barrier_ = 0;
  std::optional<Key> last_key_;
  std::unique_ptr<LayerWriter> current_;
  std::vector<Layer> finished_;
};

}  // namespace strata
