#include "store/layer_writer.h"

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kWriteBytes = 256 * 1024;
// So that a run of inline values alone does not wait for a value block for ever.
constexpr std::size_t kMaxPending = 16 * 1024;

}  // namespace

LayerWriter::LayerWriter(Env& env, const std::string& directory, std::uint64_t number, bool image, int level,
                         LsnRange lsns, const StoreOptions& options)
    : options_(options), encoder_(options.compression_level), index_(lsns) {
  layer_.number = number;
  layer_.info.name = layer_name(number, image, level, lsns);
  layer_.info.image = image;
  layer_.info.level = level;
  layer_.info.lsns = lsns;
  header_ = encode_layer_header(layer_);
  buffer_ = header_;
  file_ = env.create(directory + "/" + layer_.info.name);
}

LayerWriter::~LayerWriter() = default;

std::uint64_t LayerWriter::bytes() const { return buffer_offset_ + buffer_.size() + index_bytes_; }

void LayerWriter::add(const Entry& entry, std::uint32_t sequence) {
  const EncodedKey key = encode_key(entry.key);
  if (layer_.info.entries == 0) layer_.info.first_key = entry.key;
  if (layer_.info.entries == 0 || layer_.info.last_key != entry.key) {
    if (!layer_.info.image) hashes_.push_back(hash_key(key));
    layer_.info.last_key = entry.key;
  }
  ++layer_.info.entries;

  IndexEntry indexed{.key = key,
                     .lsn = entry.lsn,
                     .sequence = sequence,
                     .type = entry.type,
                     .base = entry.base,
                     .is_inline = entry.value.size() <= kMaxInlineBytes,
                     .value_bytes = static_cast<std::uint32_t>(entry.value.size()),
                     .inline_value = {},
                     .block = {},
                     .value_offset = 0};
  if (indexed.is_inline) {
    put_bytes(pending_inline_, entry.value);
  } else {
    if (!values_.empty() && values_.size() + entry.value.size() > options_.value_block_bytes) close_value_block();
    indexed.value_offset = static_cast<std::uint32_t>(values_.size());
    put_bytes(values_, entry.value);
  }
  pending_.push_back(indexed);
  if (values_.size() >= options_.value_block_bytes || pending_.size() >= kMaxPending) close_value_block();
}

void LayerWriter::close_value_block() {
  BlockHandle handle;
  if (!values_.empty()) {
    append(encoder_.encode(values_), handle);
    values_.clear();
    write_out(kWriteBytes);
  }
  Bytes inline_values = as_bytes(pending_inline_);
  for (IndexEntry& entry : pending_) {
    if (entry.is_inline) {
      entry.inline_value = inline_values.first(entry.value_bytes);
      inline_values = inline_values.subspan(entry.value_bytes);
    } else {
      entry.block = handle;
    }
    add_to_index(entry);
  }
  pending_.clear();
  pending_inline_.clear();
}

void LayerWriter::add_to_index(const IndexEntry& entry) {
  if (index_.empty()) index_begin_ = {.key = entry.key, .lsn = entry.lsn, .block = {}};
  index_.add(entry);
  if (index_.bytes() >= options_.index_block_bytes) close_index_block();
}

void LayerWriter::close_index_block() {
  if (index_.empty()) return;
  index_blocks_.push_back({.top = index_begin_, .block = encoder_.encode(index_.finish())});
  index_bytes_ += index_blocks_.back().block.stored_bytes();
}

void LayerWriter::append(const EncodedBlock& block, BlockHandle& handle) {
  handle = {.offset = buffer_offset_ + buffer_.size(), .size = static_cast<std::uint32_t>(block.stored_bytes())};
  block.append_to(buffer_, handle.offset);
}

void LayerWriter::write_out(std::size_t threshold) {
  if (buffer_.empty() || buffer_.size() < threshold) return;
  file_->append(as_bytes(buffer_));
  buffer_offset_ += buffer_.size();
  buffer_.clear();
}

Layer LayerWriter::finish() {
  close_value_block();
  close_index_block();
  LayerFooter footer;
  footer.values_end = buffer_offset_ + buffer_.size();
  std::string top;
  for (IndexBlock& block : index_blocks_) {
    append(block.block, block.top.block);
    append_top_entry(top, block.top);
    write_out(kWriteBytes);
  }
  append(encoder_.encode(top), footer.top);
  if (!layer_.info.image) append(encoder_.encode(build_filter(hashes_), false), footer.filter);
  buffer_ += encode_layer_footer(footer, layer_, header_);
  write_out(0);
  file_->sync();
  file_->close();
  layer_.info.bytes = buffer_offset_;
  return layer_;
}

}  // namespace strata
