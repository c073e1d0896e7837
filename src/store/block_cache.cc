#include "store/block_cache.h"

#include <utility>

#include "store/no_postgres.h"

namespace strata {

namespace {

// What a block takes in the cache besides its content.
constexpr std::size_t kOverhead = 200;

}  // namespace

BlockCache::Cached* BlockCache::find(const Id& id) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return nullptr;
  by_use_.splice(by_use_.begin(), by_use_, found->second);
  return &*found->second;
}

void BlockCache::add(Cached cached) {
  used_ += cached.bytes;
  by_use_.push_front(std::move(cached));
  by_id_[by_use_.front().id] = by_use_.begin();
  while (used_ > capacity_ && !by_use_.empty()) {
    used_ -= by_use_.back().bytes;
    by_id_.erase(by_use_.back().id);
    by_use_.pop_back();
  }
}

BlockCache::Dictionary BlockCache::get_dictionary(std::uint64_t file_id, const BlockSource& source, BlockHandle block) {
  const Id id{.file = file_id, .offset = block.offset};
  if (const Cached* found = find(id)) return found->dictionary;
  Dictionary dictionary = source.read_dictionary(block);
  count_block(block.size);
  add({.id = id, .bytes = dictionary->memory_bytes() + kOverhead, .content = nullptr, .dictionary = dictionary});
  return dictionary;
}

BlockCache::Content BlockCache::get(std::uint64_t file_id, const BlockSource& source, BlockHandle block,
                                    BlockHandle dictionary, std::size_t taken_bytes) {
  const Id id{.file = file_id, .offset = block.offset};
  // A file that lies about its blocks may name a dictionary as one.
  if (const Cached* found = find(id); found != nullptr && found->content != nullptr) return found->content;
  Content content = read(file_id, source, block, dictionary);
  if (content->size() != taken_bytes && find(id) == nullptr) {
    add({.id = id, .bytes = content->size() + kOverhead, .content = content, .dictionary = nullptr});
  }
  return content;
}

BlockCache::Content BlockCache::read(std::uint64_t file_id, const BlockSource& source, BlockHandle block,
                                     BlockHandle dictionary) {
  auto content = std::make_shared<const BlockContent>(source.read(block, [&]() -> Dictionary {
    return dictionary.size == 0 ? nullptr : get_dictionary(file_id, source, dictionary);
  }));
  count_block(block.size);
  return content;
}

void BlockCache::clear() {
  by_id_.clear();
  by_use_.clear();
  used_ = 0;
}

}  // namespace strata
