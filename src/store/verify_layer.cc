#include "store/verify_layer.h"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "store/filter.h"
#include "store/index_block.h"
#include "store/page_diff.h"
#include "store/page_rebuilder.h"
#include "store/top_index.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kSearchInterval = 16;  // entries that are searched for as readers do

// The end of the block in the file.
std::uint64_t end_of(BlockHandle block) { return block.offset + block.size; }

class LayerCheck {
 public:
  LayerCheck(Env& env, const std::string& path, const Layer& expected, const std::function<void(std::uint64_t)>& read)
      : path_(path), expected_(expected), read_(read), file_(env.open(path)) {}

  void run() {
    check_ends();
    const BlockContent root_content = block(ends_.top);
    root_ = decode_root(root_content.view(), ends_, path_);
    for (const BlockHandle& handle : root_.dictionaries) {
      (void)source().read_dictionary(handle);
      note(handle);
    }
    read_filter();
    const TopEntries entries(root_content.view().substr(root_.entries_begin), path_, ends_.top.offset);
    if (!root_.has_parts) {
      check_index(entries);
    } else {
      for (std::size_t i = 0; i < entries.size(); ++i) check_part(entries.at(i));
    }
    check_value_block_end();
    check_places();
    if (entries_ != layer_.info.entries) fail(ends_.top.offset, "the number of entries is not the footer's");
    if (decode_key(last_.key) != layer_.info.last_key) fail(ends_.top.offset, "the last key is not the footer's");
  }

 private:
  [[noreturn]] void fail(std::uint64_t offset, std::string_view what) const { throw_corrupt(path_, offset, what); }

  [[nodiscard]] BlockSource source() { return {file_, path_, ends_.block_form(), decoder_}; }

  void note(BlockHandle handle) {
    blocks_.push_back(handle);
    read_(handle.size);
  }

  // Reads a block that no other one has read.
  BlockContent block(BlockHandle handle) {
    BlockContent content = source().read(handle, [&] { return dictionary_for(handle.offset); });
    note(handle);
    return content;
  }

  std::shared_ptr<const DecompressionDictionary> dictionary_for(std::uint64_t offset) {
    const BlockHandle handle = root_.dictionary_before(offset);
    if (handle.size == 0) return nullptr;
    if (handle.offset != dictionary_at_) {
      dictionary_ = source().read_dictionary(handle);
      dictionary_at_ = handle.offset;
    }
    return dictionary_;
  }

  void read_filter() {
    if ((root_.filter.blocks == 0) != layer_.info.image) {
      fail(ends_.top.offset, "a delta layer has a filter, an image layer none");
    }
    for (std::uint32_t i = 0; i < root_.filter.blocks; ++i) {
      const BlockHandle handle = filter_handle(ends_, root_, i);
      const BlockContent content = block(handle);
      const std::size_t lines = content.size() / kFilterLineBytes;
      if (ends_.version == kLayerVersion1) root_.filter.lines = static_cast<std::uint32_t>(lines);
      if (lines == 0 || lines != root_.filter.lines || content.size() % kFilterLineBytes != 0) {
        fail(handle.offset, "the filter has a wrong size");
      }
      filter_ += content.view();
    }
  }

  void check_ends() {
    ends_ = read_layer_ends(file_.file(), file_.file_bytes(), path_, layer_);
    read_(kLayerHeaderBytes + kLayerFooterBytes);
    const LayerInfo& here = layer_.info;
    const LayerInfo& named = expected_.info;
    if (here.name != named.name || here.first_key != named.first_key || here.last_key != named.last_key ||
        here.bytes != named.bytes || here.entries != named.entries) {
      fail(file_.file_bytes() - kLayerFooterBytes, "the layer is not the one that the manifest names");
    }
    if (here.entries == 0) fail(file_.file_bytes() - kLayerFooterBytes, "the layer is empty");
  }

  // Every byte of the file belongs to one block, the header or the footer.
  void check_places() {
    std::sort(blocks_.begin(), blocks_.end(),
              [](const BlockHandle& a, const BlockHandle& b) { return a.offset < b.offset; });
    std::uint64_t at = kLayerHeaderBytes;
    for (const BlockHandle& one : blocks_) {
      if (one.offset < at) fail(one.offset, "bytes belong to two blocks");
      if (one.offset > at) fail(at, "bytes belong to no block");
      at = end_of(one);
    }
    if (at + kLayerFooterBytes != layer_.info.bytes) fail(at, "bytes before the footer belong to nothing");
  }

  void check_part(const TopEntry& part) {
    const BlockContent content = block(part.block);
    const TopEntries entries(content.view(), path_, part.block.offset);
    if (entries.at(0).key != part.key || entries.at(0).lsn != part.lsn) {
      fail(part.block.offset, "a part of the top index does not begin as its root says");
    }
    check_index(entries);
  }

  void check_index(const TopEntries& entries) {
    for (std::size_t i = 0; i < entries.size(); ++i) check_index_block(entries.at(i));
  }

  void check_index_block(const TopEntry& top) {
    if (end_of(top.block) > ends_.top.offset) fail(top.block.offset, "an index block lies behind the top index");
    const BlockContent content = block(top.block);
    const auto cursor_over = [&] {
      return IndexBlockCursor(content.view(), layer_.info.lsns, path_, top.block.offset);
    };
    IndexBlockCursor cursor = cursor_over();
    std::vector<std::pair<EncodedKey, Lsn>> searches;
    std::size_t count = 0;
    for (cursor.seek_first(); cursor.valid(); cursor.next(), ++count) {
      const IndexEntry& entry = cursor.entry();
      if (count == 0 && (entry.key != top.key || entry.lsn != top.lsn)) {
        fail(top.block.offset, "an index block does not begin as the top index says");
      }
      if (count % kSearchInterval == 0) searches.emplace_back(entry.key, entry.lsn);
      check_entry(entry, top.block.offset);
    }
    if (count == 0) fail(top.block.offset, "an index block is empty");
    IndexBlockCursor again = cursor_over();
    for (const auto& [key, lsn] : searches) {
      again.seek(key, lsn);
      if (!again.valid() || again.entry().key != key || again.entry().lsn != lsn) {
        fail(top.block.offset, "a search in an index block does not find its entry");
      }
    }
  }

  void check_entry(const IndexEntry& entry, std::uint64_t at) {
    const Key key = decode_key(entry.key);
    const bool new_key = entries_ == 0 || last_.key != entry.key;
    if (entries_ == 0 && key != layer_.info.first_key) fail(at, "the first key is not the footer's");
    if (entries_ != 0) check_order(entry, new_key, at);
    if (new_key) check_key(key, entry.key, at);
    if (layer_.info.image && !(new_key && entry.base)) fail(at, "an image layer has more than one base of a key");
    check_type(key, entry, at);
    check_value(entry);
    ++entries_;
    last_ = entry;
    last_.inline_value = {};
  }

  void check_order(const IndexEntry& entry, bool new_key, std::uint64_t at) const {
    const bool above = compare(last_.key, entry.key) < 0 || (!new_key && last_.lsn > entry.lsn) ||
                       (!new_key && last_.lsn == entry.lsn && last_.sequence > entry.sequence);
    if (!above) fail(at, "index entries are out of order");
    const bool same_lsn = !new_key && last_.lsn == entry.lsn;
    if (same_lsn && (last_.type == EntryType::kPageDiff || entry.type == EntryType::kPageDiff)) {
      fail(at, "a page diff is not the only version of its key at its LSN");
    }
  }

  void check_key(const Key& key, const EncodedKey& encoded, std::uint64_t at) const {
    if (name_of(key.kind) == nullptr) fail(at, "a key's kind is unknown");
    if (filter_.empty()) return;
    const std::uint64_t hash = hash_key(encoded);
    const std::size_t line = filter_line(hash, root_.filter.all_lines()) * kFilterLineBytes;
    if (!line_may_contain(std::string_view(filter_).substr(line, kFilterLineBytes), hash)) {
      fail(ends_.filter.offset, "the filter denies a key of the layer");
    }
  }

  // Which types a kind of key has, which of them are bases, and how long images are. What a record says is redo's.
  void check_type(const Key& key, const IndexEntry& entry, std::uint64_t at) const {
    const bool is_page = key.kind == KeyKind::kPage;
    const bool is_commit_log = key.kind == KeyKind::kCommitLog;
    bool known = false;
    bool base = entry.base;
    switch (entry.type) {
      case EntryType::kValue:
        known = !is_page;
        base = true;
        break;
      case EntryType::kImage:
        known = is_page || is_commit_log;
        base = true;
        break;
      case EntryType::kRecord:
        known = is_page;
        break;
      case EntryType::kVmClear:
      case EntryType::kVmTruncate:
      case EntryType::kPageDiff:
        known = is_page;
        base = false;
        break;
      case EntryType::kXidStatus:
        known = is_commit_log;
        base = false;
        break;
      case EntryType::kUnreconstructable:
        known = layer_.info.image && (is_page || is_commit_log);
        base = true;
        break;
    }
    if (!known) fail(at, "an entry's type is none of its key's kind");
    if (base != entry.base) fail(at, "an entry is marked as a base and cannot be one, or the other way round");
    if (entry.type == EntryType::kImage && entry.value_bytes != kPageBytes) fail(at, "an image is no page long");
  }

  // Values follow each other in the order of entries, without a gap within a block, in blocks in the order of the file.
  void check_value(const IndexEntry& entry) {
    if (entry.is_inline) {
      check_content(entry, entry.inline_value);
      return;
    }
    if (!values_ || entry.block.offset != block_.offset) {
      check_value_block_end();
      if (values_ && entry.block.offset < block_.offset) fail(entry.block.offset, "value blocks are out of order");
      block_ = entry.block;
      values_.emplace(block(block_));
      value_end_ = 0;
      if (end_of(block_) > ends_.values_end) fail(block_.offset, "a value block lies behind the values");
    } else if (entry.block.size != block_.size) {
      fail(block_.offset, "a value block has two sizes");
    }
    if (entry.value_offset != value_end_) fail(block_.offset, "values in a block do not follow each other");
    value_end_ += entry.value_bytes;
    if (value_end_ > values_->size()) fail(block_.offset, "a value is said to lie outside its block");
    check_content(entry, as_bytes(values_->view()).subspan(entry.value_offset, entry.value_bytes));
  }

  void check_value_block_end() const {
    if (values_ && value_end_ != values_->size()) fail(block_.offset, "a value block holds what no entry names");
  }

  void check_content(const IndexEntry& entry, Bytes value) {
    const std::uint64_t at = entry.is_inline ? ends_.values_end : entry.block.offset;
    if (entry.type == EntryType::kPageDiff && !apply_page_diff(as_text(value), page_)) {
      fail(at, "a page diff is damaged");
    }
  }

  const std::string& path_;
  const Layer& expected_;
  const std::function<void(std::uint64_t)>& read_;
  ReadAhead file_;
  BlockDecoder decoder_;
  LayerFooter ends_;
  Layer layer_;
  LayerRoot root_;
  std::string filter_;
  std::shared_ptr<const DecompressionDictionary> dictionary_;  // the one at dictionary_at_
  std::uint64_t dictionary_at_ = 0;
  std::array<char, kPageBytes> page_{};  // what diffs are tried on

  std::vector<BlockHandle> blocks_;  // that are accounted for
  std::uint64_t entries_ = 0;
  IndexEntry last_;
  BlockHandle block_;                   // the last value block ...
  std::optional<BlockContent> values_;  // ... and what it holds
  std::size_t value_end_ = 0;           // of the value before, in values_
};

}  // namespace

void verify_layer(Env& env, const std::string& path, const Layer& expected,
                  const std::function<void(std::uint64_t)>& read) {
  LayerCheck(env, path, expected, read).run();
}

}  // namespace strata
