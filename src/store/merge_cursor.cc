#include "store/merge_cursor.h"

#include <utility>

#include "store/no_postgres.h"

namespace strata {

RunStream::RunStream(Env& env, std::string directory, std::vector<Layer> layers, BlockCache& cache)
    : env_(env), directory_(std::move(directory)), layers_(std::move(layers)), cache_(cache) {
  open_next();
}

void RunStream::open_next() {
  cursor_.reset();
  file_.reset();
  while (cursor_ == nullptr && next_layer_ < layers_.size()) {
    const Layer& layer = layers_[next_layer_++];
    file_ = std::make_shared<const LayerFile>(env_, directory_ + "/" + layer.info.name, layer, cache_);
    cursor_ = std::make_unique<LayerCursor>(*file_);
    cursor_->seek(encode_key(layer.info.first_key), kMaxLsn);
    if (!cursor_->valid()) cursor_.reset();
  }
}

void RunStream::next() {
  cursor_->next();
  if (!cursor_->valid()) open_next();
}

MergeCursor::MergeCursor(std::vector<std::unique_ptr<RunStream>> runs) : runs_(std::move(runs)) { find_lowest(); }

void MergeCursor::find_lowest() {
  lowest_ = nullptr;
  for (const auto& run : runs_) {
    if (!run->valid()) continue;
    if (lowest_ == nullptr) {
      lowest_ = run.get();
      continue;
    }
    const int order = compare(run->entry().key, lowest_->entry().key);
    if (order < 0 || (order == 0 && run->entry().lsn > lowest_->entry().lsn)) lowest_ = run.get();
  }
}

void MergeCursor::next() {
  lowest_->next();
  find_lowest();
}

}  // namespace strata
