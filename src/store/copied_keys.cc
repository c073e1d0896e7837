#include "store/copied_keys.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>
#include <utility>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::uint32_t kMaxId = std::numeric_limits<std::uint32_t>::max();

using Forks = std::map<std::pair<std::uint32_t, std::uint8_t>, std::uint32_t>;  // (relation, fork) -> blocks

// The forks of a database at an LSN, those included that it was copied with.
Forks forks_at(Reader& reader, const Key& database, Lsn at, int depth) {
  if (depth == kMaxCopies) throw_too_many_copies();
  Forks forks;
  Incarnations incarnations(reader, at);
  const DatabaseEvent event = incarnations.database_event_at(database, at);
  if (event.copied) {
    const Key source{
        .kind = KeyKind::kDatabase, .tablespace = event.source_tablespace, .database = event.source_database};
    forks = forks_at(reader, source, event.lsn, depth + 1);
  }
  Key first = database;
  first.kind = KeyKind::kRelationSize;
  Key last = first;
  last.relation = last.block = kMaxId;
  last.fork = std::numeric_limits<std::uint8_t>::max();
  reader.scan(first, last, at, [&](const Key& key, const Version& version) {
    if (version.lsn <= event.lsn) return true;
    const auto fork = std::make_pair(key.relation, key.fork);
    std::uint32_t blocks = 0;
    if (version.value.empty()) {
      forks.erase(fork);
    } else if (version.value.size() == sizeof blocks) {
      std::memcpy(&blocks, version.value.data(), sizeof blocks);
      forks[fork] = blocks;
    } else {
      throw StoreError(ErrorKind::kCorrupt, "the size of a relation in the store has a wrong size");
    }
    return true;
  });
  return forks;
}

}  // namespace

CopiedKeys::CopiedKeys(Reader& reader, Lsn at) {
  const Key first{.kind = KeyKind::kDatabase};
  const Key last{.kind = KeyKind::kDatabase, .tablespace = kMaxId, .database = kMaxId};
  std::vector<Key> databases;
  reader.scan(first, last, at, [&](const Key& key, const Version& version) {
    if (!version.value.empty()) databases.push_back(key);
    return true;
  });
  for (const Key& database : databases) {
    Incarnations incarnations(reader, at);
    const DatabaseEvent event = incarnations.database_event_at(database, at);
    const Key source{
        .kind = KeyKind::kDatabase, .tablespace = event.source_tablespace, .database = event.source_database};
    for (const auto& [fork, blocks] : forks_at(reader, source, event.lsn, 0)) {
      Key key = database;
      key.relation = fork.first;
      key.fork = fork.second;
      key.kind = KeyKind::kRelationSize;
      ranges_.push_back({.first = key, .count = 1, .blocks = blocks});
      key.kind = KeyKind::kPage;
      if (blocks > 0) ranges_.push_back({.first = key, .count = blocks, .blocks = blocks});
    }
  }
  std::sort(ranges_.begin(), ranges_.end(), [](const Range& a, const Range& b) { return a.first < b.first; });
}

Key CopiedKeys::key() const {
  Key key = ranges_[range_].first;
  key.block += offset_;
  return key;
}

void CopiedKeys::next() {
  if (++offset_ < ranges_[range_].count) return;
  ++range_;
  offset_ = 0;
}

std::optional<std::uint32_t> CopiedKeys::copied_size(const Key& size_key) const {
  const auto found = std::lower_bound(ranges_.begin(), ranges_.end(), size_key,
                                      [](const Range& range, const Key& key) { return range.first < key; });
  if (found == ranges_.end() || found->first != size_key) return std::nullopt;
  return found->blocks;
}

}  // namespace strata
