#include "store/layer_file.h"

#include <utility>

#include "store/no_postgres.h"

namespace strata {

LayerFile::LayerFile(Env& env, const std::string& path, const Layer& expected, BlockCache& cache)
    : path_(path), cache_(cache), id_(cache.new_file_id()), file_(env.open(path)) {
  ends_ = read_layer_ends(file_.file(), file_.file_bytes(), path, layer_);
  if (layer_.info.name != expected.info.name || layer_.info.first_key != expected.info.first_key ||
      layer_.info.last_key != expected.info.last_key || file_.file_bytes() != expected.info.bytes) {
    throw_corrupt(path, file_.file_bytes() - kLayerFooterBytes, "the layer is not the one that the manifest names");
  }
  cache.count_block(kLayerHeaderBytes);
  cache.count_block(kLayerFooterBytes);
  cache.count_block(ends_.top.size);
  root_content_ = std::make_shared<const BlockContent>(source().read(ends_.top));
  root_ = decode_root(root_content_->view(), ends_, path);
  root_entries_ = TopEntries(root_content_->view().substr(root_.entries_begin), path, ends_.top.offset);
  filter_.resize(root_.filter.blocks);
}

BlockSource LayerFile::source() const { return {file_, path_, ends_.block_form(), cache_.decoder()}; }

// One at a time: memory that a new session touches first costs more than a read.
std::string_view LayerFile::filter_block(std::size_t i) const {
  if (filter_[i]) return filter_[i]->view();
  const BlockHandle handle = filter_handle(ends_, root_, i);
  BlockContent content = source().read(handle);
  cache_.count_block(handle.size);
  const std::size_t lines = content.size() / kFilterLineBytes;
  const bool is_known = root_.filter.lines == 0 || lines == root_.filter.lines;
  if (!is_known || lines == 0 || lines > 0xffffffff || content.size() % kFilterLineBytes != 0) {
    throw_corrupt(path_, handle.offset, "the filter has a wrong size");
  }
  return filter_[i].emplace(std::move(content)).view();
}

bool LayerFile::may_contain(std::uint64_t key_hash) const {
  try {
    return filter_may_contain(key_hash);
  } catch (const StoreError& error) {
    if (error.kind() != ErrorKind::kCorrupt) throw;
    // The index can do without. Verifying the store tells of the damage.
    filter_.clear();
    return true;
  }
}

bool LayerFile::filter_may_contain(std::uint64_t key_hash) const {
  if (filter_.empty()) return true;
  // A filter of one block says itself how long it is.
  std::uint64_t line = 0;
  std::string_view block;
  if (filter_.size() == 1) {
    block = filter_block(0);
    line = filter_line(key_hash, block.size() / kFilterLineBytes);
  } else {
    line = filter_line(key_hash, root_.filter.all_lines());
    block = filter_block(line / root_.filter.lines);
    line %= root_.filter.lines;
  }
  return line_may_contain(block.substr(line * kFilterLineBytes, kFilterLineBytes), key_hash);
}

BlockCache::Content LayerFile::block(BlockHandle handle, std::size_t taken_bytes) const {
  return cache_.get(id_, source(), handle, root_.dictionary_before(handle.offset), taken_bytes);
}

BlockCache::Content LayerFile::next_block(BlockHandle handle) const {
  return cache_.read(id_, source(), handle, root_.dictionary_before(handle.offset));
}

std::string_view LayerFile::value_in(const BlockContent& content, const IndexEntry& entry) const {
  if (entry.value_offset > content.size() || entry.value_bytes > content.size() - entry.value_offset) {
    throw_corrupt(path_, entry.block.offset, "a value is said to lie outside its block");
  }
  return content.view().substr(entry.value_offset, entry.value_bytes);
}

Value LayerFile::value(const IndexEntry& entry) const {
  if (entry.is_inline) return Value::copy_of(as_text(entry.inline_value));
  BlockCache::Content content = block(entry.block, entry.value_bytes);
  const std::string_view bytes = value_in(*content, entry);
  return {std::move(content), bytes};
}

Value LayerCursor::inline_value() const { return {content_, as_text(entry().inline_value)}; }

Value LayerCursor::value() const { return entry().is_inline ? inline_value() : file_->value(entry()); }

void LayerCursor::load_part(std::size_t i) {
  const BlockHandle handle = file_->root_entries().at(i).block;
  part_ = i;
  part_content_ = file_->block(handle);
  entries_ = TopEntries(part_content_->view(), file_->path(), handle.offset);
}

void LayerCursor::load_block(std::size_t i) {
  const BlockHandle handle = entries_.at(i).block;
  enter_block(i, handle, file_->block(handle));
}

void LayerCursor::enter_block(std::size_t i, BlockHandle handle, BlockCache::Content content) {
  block_ = i;
  block_offset_ = handle.offset;
  content_ = std::move(content);
  cursor_ = IndexBlockCursor(content_->view(), file_->layer().info.lsns, file_->path(), handle.offset);
}

void LayerCursor::go_on_in_block(std::size_t i) {
  const BlockHandle handle = entries_.at(i).block;
  enter_block(i, handle, file_->next_block(handle));
  cursor_.seek_first();
}

// To the begin of the next block. False: this was the last one.
bool LayerCursor::load_next_block() {
  std::size_t next = block_ + 1;
  if (next == entries_.size()) {
    if (!file_->has_parts() || part_ + 1 == file_->root_entries().size()) return false;
    load_part(part_ + 1);
    next = 0;
  }
  go_on_in_block(next);
  return true;
}

void LayerCursor::seek(const EncodedKey& key, Lsn at) {
  // Versions of one LSN may go on over a border of blocks: start in the last block that begins before them.
  if (file_->has_parts()) {
    load_part(file_->root_entries().last_before(key, at));
  } else {
    entries_ = file_->root_entries();
  }
  load_block(entries_.last_before(key, at));
  cursor_.seek(key, at);
  settle(key, at);
}

void LayerCursor::advance(const EncodedKey& key, Lsn at) {
  const std::size_t part = file_->has_parts() ? file_->root_entries().last_before(key, at) : 0;
  if (content_ == nullptr || part > part_) {
    seek(key, at);
    return;
  }
  if (!cursor_.valid()) return;
  if (part == part_) {
    const std::size_t block = entries_.last_before(key, at);
    if (block == block_ + 1) {
      go_on_in_block(block);
    } else if (block > block_) {
      load_block(block);
      cursor_.seek(key, at);
    }
  }
  cursor_.advance(key, at);
  settle(key, at);
}

void LayerCursor::settle(const EncodedKey& key, Lsn at) {
  if (!cursor_.valid() && load_next_block()) check_order(key, at);
}

void LayerCursor::check_order(const EncodedKey& key, Lsn lsn) const {
  if (!cursor_.valid()) return;
  const int order = compare(cursor_.entry().key, key);
  if (order > 0 || (order == 0 && cursor_.entry().lsn <= lsn)) return;
  throw_corrupt(file_->path(), block_offset_, "an index block is out of order");
}

void LayerCursor::next() {
  // Within a block the cursor itself sees to the order.
  if (cursor_.at_last()) {
    const EncodedKey key = cursor_.entry().key;
    const Lsn lsn = cursor_.entry().lsn;
    cursor_.next();
    if (load_next_block()) check_order(key, lsn);
    return;
  }
  cursor_.next();
}

}  // namespace strata
