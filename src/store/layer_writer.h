// Writes one layer file, streaming: memory is bounded by the blocks in work, a sample for the dictionary, the top index
// and 8 bytes for each key.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/block.h"
#include "store/index_block.h"
#include "store/layer_format.h"
#include "store/top_index.h"

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
  [[nodiscard]] bool choose_dictionary();
  void end_sample();
  void place(IndexEntry entry, Bytes value);
  void close_value_block();
  void add_to_index(const IndexEntry& entry);
  void close_index_block();
  void append_top_index(LayerFooter& footer);
  void append_filter(LayerFooter& footer);
  void append(const EncodedBlock& block, BlockHandle& handle);
  void write_out(std::size_t threshold);
  [[nodiscard]] std::uint64_t position() const { return buffer_offset_ + buffer_.size(); }

  StoreOptions options_;
  Layer layer_;
  std::string header_;
  std::unique_ptr<WritableFile> file_;
  BlockEncoder encoder_;
  BlockEncoder plain_encoder_;       // without a dictionary
  std::string buffer_;               // what is not yet with the operating system
  std::uint64_t buffer_offset_ = 0;  // of its begin in the file

  // Entries that wait for a dictionary to be made of them, and their values, one after the other.
  bool sampling_;
  std::vector<IndexEntry> sample_;
  std::string sample_values_;
  std::size_t placed_bytes_ = 0;  // since the last sample
  std::size_t reach_;             // so many are placed until the next one
  std::string dictionary_;        // in use
  LayerRoot root_;

  std::string values_;               // the value block in work
  std::vector<IndexEntry> pending_;  // entries that wait for its place
  std::string pending_inline_;       // their inline values, one after the other
  IndexBlockBuilder index_;
  TopEntry index_begin_;
  std::string top_;  // entries of all index blocks
  std::vector<std::uint64_t> hashes_;
};

}  // namespace strata
