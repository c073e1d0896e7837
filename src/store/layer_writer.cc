#include "store/layer_writer.h"

#include <algorithm>
#include <utility>

#include "store/dictionary.h"
#include "store/filter.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kWriteBytes = 256 * 1024;
// So that inline values do not wait for a value block for ever.
constexpr std::size_t kMaxPending = 1024;
// Of the top index; so many entries are in a part.
constexpr std::size_t kPartEntries = 216;

// A dictionary is worth its place when the sample has so many times its size.
constexpr std::size_t kMinSamples = 8;
// What is sampled takes about so much less when it is written.
constexpr std::size_t kUsualRatio = 4;
// What an entry is about to take in the sample besides its value.
constexpr std::size_t kEntryBytes = 32;
constexpr std::uint32_t kSomeBlockBytes = 1000;

}  // namespace

StoreOptions StoreOptions::for_flush() const {
  StoreOptions options = *this;
  options.compression_level = flush_compression_level;
  options.value_block_bytes = 4 * value_block_bytes;
  options.dictionary_bytes = 0;
  return options;
}

StoreOptions StoreOptions::for_baseline() const {
  constexpr int kMinLevel = 6;
  StoreOptions options = *this;
  options.compression_level = std::max(compression_level, kMinLevel);
  options.dictionary_gain = 0;
  options.max_dictionary_reach = dictionary_reach;
  return options;
}

LayerWriter::LayerWriter(Env& env, const std::string& directory, std::uint64_t number, bool image, int level,
                         LsnRange lsns, const StoreOptions& options)
    : options_(options),
      encoder_(options.compression_level),
      plain_encoder_(options.compression_level),
      sampling_(options.dictionary_bytes != 0),
      reach_(options.dictionary_reach),
      index_(lsns) {
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

std::uint64_t LayerWriter::bytes() const {
  return position() + top_.size() + (sample_values_.size() + sample_.size() * kEntryBytes) / kUsualRatio;
}

void LayerWriter::add(const Entry& entry, std::uint32_t sequence) {
  const EncodedKey key = encode_key(entry.key);
  if (layer_.info.entries == 0) layer_.info.first_key = entry.key;
  if (layer_.info.entries == 0 || layer_.info.last_key != entry.key) {
    if (!layer_.info.image) hashes_.push_back(hash_key(key));
    layer_.info.last_key = entry.key;
  }
  ++layer_.info.entries;

  const IndexEntry indexed{.key = key,
                           .lsn = entry.lsn,
                           .sequence = sequence,
                           .type = entry.type,
                           .base = entry.base,
                           .is_inline = entry.value.size() <= std::min(options_.inline_bytes, kMaxInlineBytes),
                           .value_bytes = static_cast<std::uint32_t>(entry.value.size()),
                           .inline_value = {},
                           .block = {},
                           .value_offset = 0};
  // A value that is a sample by itself goes past it.
  if (sampling_ && entry.value.size() >= options_.sample_bytes) end_sample();
  if (sampling_) {
    sample_.push_back(indexed);
    put_bytes(sample_values_, entry.value);
    if (sample_values_.size() + sample_.size() * kEntryBytes >= options_.sample_bytes) end_sample();
    return;
  }
  place(indexed, entry.value);
  placed_bytes_ += entry.value.size() + kEntryBytes;
  sampling_ = options_.dictionary_bytes != 0 && placed_bytes_ >= reach_;
}

// Makes a dictionary of the sample, and goes over to it if that pays. False: it does not.
bool LayerWriter::choose_dictionary() {
  DictionarySamples samples;
  IndexBlockBuilder index(layer_.info.lsns);
  Bytes values = as_bytes(sample_values_);
  BlockHandle last_block;
  for (IndexEntry entry : sample_) {
    const Bytes value = values.first(entry.value_bytes);
    values = values.subspan(entry.value_bytes);
    if (entry.is_inline) {
      entry.inline_value = value;
    } else {
      // Some block of its own: where it is going to be is not known yet.
      last_block = {.offset = last_block.offset + last_block.size, .size = kSomeBlockBytes};
      entry.block = last_block;
      samples.add(as_text(value));
    }
    index.add(entry);
    if (index.bytes() >= options_.index_block_bytes) samples.add(index.finish());
  }
  if (samples.bytes() < kMinSamples * options_.dictionary_bytes) return false;
  std::string dictionary = samples.train(options_.dictionary_bytes);
  if (dictionary.empty()) return false;
  EncodedBlock block = plain_encoder_.encode(dictionary);
  // It will serve what comes behind the sample too, if that is there and alike.
  const auto before = static_cast<double>(samples.compressed_bytes(dictionary_));
  const auto after = static_cast<double>(samples.compressed_bytes(dictionary) + block.stored_bytes());
  if (after >= before * (1 - options_.dictionary_gain)) return false;
  BlockHandle handle;
  append(block, handle);
  root_.dictionaries.push_back(handle);
  dictionary_ = std::move(dictionary);
  encoder_.use_dictionary(dictionary_);
  return true;
}

void LayerWriter::end_sample() {
  reach_ = choose_dictionary() ? options_.dictionary_reach : std::min(2 * reach_, options_.max_dictionary_reach);
  Bytes values = as_bytes(sample_values_);
  for (const IndexEntry& entry : sample_) {
    place(entry, values.first(entry.value_bytes));
    values = values.subspan(entry.value_bytes);
  }
  sample_.clear();
  sample_values_.clear();
  placed_bytes_ = 0;
  sampling_ = false;
}

void LayerWriter::place(IndexEntry entry, Bytes value) {
  if (entry.is_inline && pending_.empty()) {
    entry.inline_value = value;
    add_to_index(entry);
    return;
  }
  if (entry.is_inline) {
    put_bytes(pending_inline_, value);
  } else {
    if (!values_.empty() && values_.size() + value.size() > options_.value_block_bytes) close_value_block();
    entry.value_offset = static_cast<std::uint32_t>(values_.size());
    put_bytes(values_, value);
  }
  pending_.push_back(entry);
  if (values_.size() >= options_.value_block_bytes || pending_.size() >= kMaxPending) close_value_block();
}

void LayerWriter::close_value_block() {
  BlockHandle handle;
  if (!values_.empty()) {
    append(encoder_.encode(values_), handle);
    values_.clear();
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
  append(encoder_.encode(index_.finish()), index_begin_.block);
  append_top_entry(top_, index_begin_);
}

void LayerWriter::append(const EncodedBlock& block, BlockHandle& handle) {
  handle = {.offset = position(), .size = static_cast<std::uint32_t>(block.stored_bytes())};
  block.append_to(buffer_, handle.offset);
  write_out(kWriteBytes);
}

void LayerWriter::write_out(std::size_t threshold) {
  if (buffer_.empty() || buffer_.size() < threshold) return;
  file_->append(as_bytes(buffer_));
  buffer_offset_ += buffer_.size();
  buffer_.clear();
}

void LayerWriter::append_top_index(LayerFooter& footer) {
  std::string entries;
  root_.has_parts = top_.size() > kPartEntries * kTopEntryBytes;
  if (root_.has_parts) {
    const std::string_view all(top_);
    for (std::size_t at = 0; at < all.size(); at += kPartEntries * kTopEntryBytes) {
      const std::string_view part = all.substr(at, kPartEntries * kTopEntryBytes);
      TopEntry entry = TopEntries(part, name(), at).at(0);
      append(plain_encoder_.encode(part), entry.block);
      append_top_entry(entries, entry);
    }
  } else {
    entries = top_;
  }
  append(plain_encoder_.encode(encode_root(root_) + entries), footer.top);
}

void LayerWriter::append_filter(LayerFooter& footer) {
  if (layer_.info.image) return;
  root_.filter = filter_shape(hashes_.size());
  const std::string filter = build_filter(hashes_, root_.filter);
  const std::size_t block_bytes = root_.filter.lines * kFilterLineBytes;
  footer.filter.offset = position();
  for (std::size_t at = 0; at < filter.size(); at += block_bytes) {
    BlockHandle handle;
    append(plain_encoder_.encode(std::string_view(filter).substr(at, block_bytes), false), handle);
    footer.filter.size += handle.size;
  }
}

Layer LayerWriter::finish() {
  if (sampling_) end_sample();
  close_value_block();
  close_index_block();
  LayerFooter footer;
  footer.values_end = position();
  append_filter(footer);
  append_top_index(footer);
  buffer_ += encode_layer_footer(footer, layer_, header_);
  write_out(0);
  file_->sync();
  file_->close();
  layer_.info.bytes = buffer_offset_;
  return layer_;
}

}  // namespace strata
