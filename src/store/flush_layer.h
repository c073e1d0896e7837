// Writes layers of level 0, for the Writer and for the Flusher.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "store/layer_writer.h"
#include "store/memtable.h"
#include "store/output_files.h"

namespace strata {

inline constexpr int kFlushedLevel = 0;

// Where an L0 layer goes, and as what.
struct FlushTarget {
  Env& env;
  const std::string& directory;
  std::uint64_t number;
  LsnRange lsns;
  const StoreOptions& options;
};

// Writes the layer, durably with its name. `files` knows the file from before it is made.
Layer write_flush_layer(const FlushTarget& target, OutputFiles& files,
                        const std::function<void(LayerWriter&)>& add_all);

// Adds the versions from `begin` to `end` (an invalid cursor: the memtable's end) with an LSN below `above`.
void add_versions(Memtable::Cursor begin, const Memtable::Cursor& end, Lsn above, WalValuesOnDemand& wal,
                  LayerWriter& layer);

}  // namespace strata
