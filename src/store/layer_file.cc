#include "store/layer_file.h"

#include <algorithm>

#include "store/filter.h"
#include "store/no_postgres.h"

namespace strata {

LayerFile::LayerFile(Env& env, const std::string& path, const Layer& expected, BlockCache& cache)
    : path_(path), cache_(cache), id_(cache.new_file_id()), file_(env.open(path)) {
  const std::uint64_t bytes = file_->size();
  if (bytes < kLayerHeaderBytes + kLayerFooterBytes) throw_corrupt(path, bytes, "the file is too short for a layer");
  std::array<std::byte, kLayerHeaderBytes> header;
  std::array<std::byte, kLayerFooterBytes> footer;
  file_->read(0, header);
  file_->read(bytes - kLayerFooterBytes, footer);
  const LayerFooter ends = decode_layer_ends(header, footer, path, bytes, layer_);
  if (layer_.info.name != expected.info.name || layer_.info.first_key != expected.info.first_key ||
      layer_.info.last_key != expected.info.last_key || bytes != expected.info.bytes) {
    throw_corrupt(path, bytes - kLayerFooterBytes, "the layer is not the one that the manifest names");
  }
  cache.count_block(kLayerHeaderBytes);
  cache.count_block(kLayerFooterBytes);
  cache.count_block(ends.top.size);
  top_ = decode_top_index(read_block(*file_, path, ends.top, cache.decoder()), path, ends.top.offset);
  if (ends.filter.size != 0) {
    cache.count_block(ends.filter.size);
    filter_ = read_block(*file_, path, ends.filter, cache.decoder());
    if (!is_filter(filter_)) throw_corrupt(path, ends.filter.offset, "the filter has a wrong size");
  }
}

bool LayerFile::may_contain(std::uint64_t key_hash) const {
  return filter_.empty() || filter_may_contain(filter_, key_hash);
}

BlockCache::Content LayerFile::block(BlockHandle handle) const { return cache_.get(id_, *file_, path_, handle); }

std::string_view LayerFile::value_in(const std::string& content, const IndexEntry& entry) const {
  if (entry.value_offset > content.size() || entry.value_bytes > content.size() - entry.value_offset) {
    throw_corrupt(path_, entry.block.offset, "a value is said to lie outside its block");
  }
  return std::string_view(content).substr(entry.value_offset, entry.value_bytes);
}

std::string LayerFile::value(const IndexEntry& entry) const {
  if (entry.is_inline) {
    return {reinterpret_cast<const char*>(entry.inline_value.data()), entry.inline_value.size()};
  }
  const BlockCache::Content content = block(entry.block);
  return std::string(value_in(*content, entry));
}

void LayerCursor::load(std::size_t block) {
  const BlockHandle handle = file_->top()[block].block;
  block_ = block;
  content_ = file_->block(handle);
  cursor_ = IndexBlockCursor(*content_, file_->layer().info.lsns, file_->path(), handle.offset);
}

void LayerCursor::seek(const EncodedKey& key, Lsn at) {
  const auto& top = file_->top();
  // Versions of one LSN may go on over a border of blocks: start in the last block that begins before them.
  const auto behind = std::partition_point(top.begin(), top.end(), [&](const TopEntry& entry) {
    const int order = compare(entry.key, key);
    return order < 0 || (order == 0 && entry.lsn > at);
  });
  load(behind == top.begin() ? 0 : static_cast<std::size_t>(behind - top.begin()) - 1);
  cursor_.seek(key, at);
  if (!cursor_.valid() && behind != top.end()) {
    load(static_cast<std::size_t>(behind - top.begin()));
    cursor_.seek_first();
    check_order(key, at);
  }
}

void LayerCursor::check_order(const EncodedKey& key, Lsn lsn) const {
  if (!cursor_.valid()) return;
  const int order = compare(cursor_.entry().key, key);
  if (order > 0 || (order == 0 && cursor_.entry().lsn <= lsn)) return;
  throw_corrupt(file_->path(), file_->top()[block_].block.offset, "an index block is out of order");
}

void LayerCursor::next() {
  const EncodedKey key = cursor_.entry().key;
  const Lsn lsn = cursor_.entry().lsn;
  cursor_.next();
  if (!cursor_.valid() && block_ + 1 < file_->top().size()) {
    load(block_ + 1);
    cursor_.seek_first();
    check_order(key, lsn);
  }
}

}  // namespace strata
