#include "ingest/relation_sizes.h"

#include <cstring>

namespace strata::ingest {

std::size_t RelationSizes::Hash::operator()(const Key& key) const {
  std::uint64_t hash = (std::uint64_t{key.relation} << 32) ^ key.database;
  hash = (hash ^ (hash >> 29)) * 0x9E3779B97F4A7C15ULL;
  hash ^= (std::uint64_t{key.tablespace} << 8) ^ key.fork;
  hash = (hash ^ (hash >> 32)) * 0x9E3779B97F4A7C15ULL;
  return hash ^ (hash >> 31);
}

void RelationSizes::begin(Lsn published, Lsn record_end) {
  published_ = published;
  changes_.clear();
  if (sizes_.size() > kMaxForks && newest_change_ <= published) sizes_.clear();
  record_end_ = record_end;
}

void RelationSizes::roll_back() {
  for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
    if (change->known_before) {
      sizes_[change->key] = change->before;
    } else {
      sizes_.erase(change->key);
    }
  }
  changes_.clear();
}

ForkSize RelationSizes::get(const Key& size_key) {
  const auto found = sizes_.find(size_key);
  if (found != sizes_.end()) return found->second;
  const ForkSize size = read(size_key);
  sizes_.emplace(size_key, size);
  return size;
}

void RelationSizes::set(const Key& size_key, ForkSize size) {
  const auto [place, inserted] = sizes_.try_emplace(size_key, size);
  changes_.push_back({.key = size_key, .before = place->second, .known_before = !inserted});
  place->second = size;
  newest_change_ = record_end_;
}

void RelationSizes::forget_database(std::uint32_t tablespace, std::uint32_t database) {
  std::erase_if(
      sizes_, [&](const auto& item) { return item.first.tablespace == tablespace && item.first.database == database; });
}

ForkSize RelationSizes::read(Key size_key) {
  Lsn at = published_;
  for (;;) {
    const std::optional<Version> size = reader_.newest(size_key, at);
    const Key database_key{
        .kind = KeyKind::kDatabase, .tablespace = size_key.tablespace, .database = size_key.database};
    const std::optional<Version> database = reader_.newest(database_key, at, size ? size->lsn : kInvalidLsn);
    if (!database) {
      if (!size || size->value.size() < sizeof(std::uint32_t)) return std::nullopt;
      std::uint32_t blocks = 0;
      std::memcpy(&blocks, size->value.data(), sizeof(blocks));
      return blocks;
    }
    if (database->value.size() < 2 * sizeof(std::uint32_t)) return std::nullopt;
    std::memcpy(&size_key.tablespace, database->value.data(), sizeof(std::uint32_t));
    std::memcpy(&size_key.database, database->value.data() + sizeof(std::uint32_t), sizeof(std::uint32_t));
    at = database->lsn;
  }
}

}  // namespace strata::ingest
