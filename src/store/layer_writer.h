// Writes one layer file, streaming: memory is bounded by the blocks in work and the layer's compressed index.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/filter.h"
#include "store/index_block.h"
#include "store/layer_format.h"

namespace strata {

class LayerWriter {
 public:
  // Creates the file. `lsns` is the range of the versions to come.
  LayerWriter(Env& env, const std::string& directory, std::uint64_t number, bool image, int level, LsnRange lsns,
              const StoreOptions& options);
  // Without finish() before, leaves an unfinished file behind.
  ~LayerWriter();

  // REQUIRES: in the order of versions (key ascending, LSN descending, sequence descending); lsn within the range;
  // a value of at most kMaxValueBytes.
  void add(const Entry& entry, std::uint32_t sequence);

  // About what the file has so far.
  [[nodiscard]] std::uint64_t bytes() const;

  // Completes the file and makes it durable, but for its name: that takes a sync of the directory.
  // REQUIRES: at least one add().
  Layer finish();

  [[nodiscard]] const std::string& name() const { return layer_.info.name; }

 private:
  struct IndexBlock {
    TopEntry top;
    EncodedBlock block;
  };

  void close_value_block();
  void add_to_index(const IndexEntry& entry);
  void close_index_block();
  void append(const EncodedBlock& block, BlockHandle& handle);
  void write_out(std::size_t threshold);

  StoreOptions options_;
  Layer layer_;
  std::string header_;
  std::unique_ptr<WritableFile> file_;
  BlockEncoder encoder_;
  std::string buffer_;               // what is not yet with the operating system
  std::uint64_t buffer_offset_ = 0;  // of its begin in the file
  std::string values_;               // the value block in work
  std::vector<IndexEntry> pending_;  // entries that wait for its place
  std::string pending_inline_;       // their inline values, one after the other
  IndexBlockBuilder index_;
  TopEntry index_begin_;
  std::vector<IndexBlock> index_blocks_;
  std::uint64_t index_bytes_ = 0;
  std::vector<std::uint64_t> hashes_;
};

}  // namespace strata
