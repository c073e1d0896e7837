// All versions of several runs of layers, in one order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/layer_file.h"

namespace strata {

// The layers of one LSN range, one behind the other. One file is open at a time.
class RunStream {
 public:
  // `layers` ascend by key. env and cache are borrowed.
  RunStream(Env& env, std::string directory, std::vector<Layer> layers, BlockCache& cache);

  [[nodiscard]] bool valid() const { return cursor_ != nullptr; }
  [[nodiscard]] const IndexEntry& entry() const { return cursor_->entry(); }
  [[nodiscard]] Value value() const { return cursor_->value(); }
  // Whoever keeps it may read values of it after next().
  [[nodiscard]] const std::shared_ptr<const LayerFile>& file() const { return file_; }
  void next();

 private:
  void open_next();

  Env& env_;
  std::string directory_;
  std::vector<Layer> layers_;
  BlockCache& cache_;
  std::size_t next_layer_ = 0;
  std::shared_ptr<const LayerFile> file_;
  std::unique_ptr<LayerCursor> cursor_;
};

// REQUIRES: no LSN is in two of the runs.
class MergeCursor {
 public:
  explicit MergeCursor(std::vector<std::unique_ptr<RunStream>> runs);

  [[nodiscard]] bool valid() const { return !runs_.empty(); }
  [[nodiscard]] const IndexEntry& entry() const { return runs_.front()->entry(); }
  [[nodiscard]] Value value() const { return runs_.front()->value(); }
  [[nodiscard]] const std::shared_ptr<const LayerFile>& file() const { return runs_.front()->file(); }
  void next();

 private:
  std::vector<std::unique_ptr<RunStream>> runs_;  // a heap of those that have something left, the first one on top
};

}  // namespace strata
