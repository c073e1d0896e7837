#include "store/merge_cursor.h"

#include <algorithm>
#include <utility>

#include "store/no_postgres.h"

namespace strata {

namespace {

bool comes_later(const std::unique_ptr<RunStream>& one, const std::unique_ptr<RunStream>& other) {
  const int order = compare(one->entry().key, other->entry().key);
  return order > 0 || (order == 0 && one->entry().lsn < other->entry().lsn);
}

}  // namespace

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

MergeCursor::MergeCursor(std::vector<std::unique_ptr<RunStream>> runs) : runs_(std::move(runs)) {
  std::erase_if(runs_, [](const auto& run) { return !run->valid(); });
  std::make_heap(runs_.begin(), runs_.end(), comes_later);
}

void MergeCursor::next() {
  std::pop_heap(runs_.begin(), runs_.end(), comes_later);
  runs_.back()->next();
  if (runs_.back()->valid()) {
    std::push_heap(runs_.begin(), runs_.end(), comes_later);
  } else {
    runs_.pop_back();
  }
}

}  // namespace strata
