// What the tests of the store have in common.
#pragma once

#include <cstdlib>
#include <map>
#include <memory>
#include <new>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "store/store.h"

namespace strata::testing {

// Shared memory, as one process sees it.
class Region {
 public:
  explicit Region(std::size_t bytes = std::size_t{1} << 20)
      : bytes_(std::max(bytes, SharedStore::min_size()) / 64 * 64 + 64),
        memory_(static_cast<std::byte*>(std::aligned_alloc(64, bytes_)), &std::free),
        shared_(SharedStore::create({memory_.get(), bytes_})) {}
  SharedStore& shared() { return shared_; }

 private:
  std::size_t bytes_;
  std::unique_ptr<std::byte, decltype(&std::free)> memory_;
  SharedStore& shared_;
};

inline std::span<const std::byte> bytes_of(std::string_view s) { return std::as_bytes(std::span(s)); }

inline Key page(std::uint32_t relation, std::uint32_t block) {
  return {.kind = KeyKind::kPage, .tablespace = 1663, .database = 5, .relation = relation, .fork = 0, .block = block};
}

// Owns the value that the entry borrows.
struct OwnedEntry {
  Key key;
  Lsn lsn;
  EntryType type;
  bool base;
  std::string value;

  [[nodiscard]] Entry entry() const {
    return {.key = key, .lsn = lsn, .type = type, .base = base, .value = bytes_of(value)};
  }
};

inline void put(Writer& writer, const std::vector<OwnedEntry>& owned, Lsn end) {
  std::vector<Entry> entries;
  for (const OwnedEntry& one : owned) entries.push_back(one.entry());
  writer.put(entries, end);
}

// What a writer has named in its manifest, and that itself.
inline std::set<std::string> files_of(const Writer& writer) {
  std::set<std::string> files{"MANIFEST"};
  for (const LayerInfo& layer : writer.layers()) files.insert(layer.name);
  return files;
}
inline std::set<std::string> files_in(Env& env, const std::string& directory) {
  const std::vector<std::string> names = env.list(directory);
  return {names.begin(), names.end()};
}

// What a writer that comes after a dead one reads from WAL again: the records that are not in layers. `visible`: up to
// where they were published.
inline void put_again(Writer& writer, const SharedStore& shared, const std::vector<OwnedEntry>& all, Lsn visible) {
  std::map<Lsn, std::vector<OwnedEntry>> again;
  for (const OwnedEntry& one : all) {
    if (one.lsn > writer.flushed_lsn()) again[one.lsn].push_back(one);
  }
  for (const auto& [lsn, entries] : again) put(writer, entries, lsn);
  if (visible > shared.visible_lsn()) writer.publish(visible);
}

inline OwnedEntry record(const Key& key, Lsn lsn, std::string value) {
  return {.key = key, .lsn = lsn, .type = EntryType::kRecord, .base = false, .value = std::move(value)};
}
inline OwnedEntry image(const Key& key, Lsn lsn, std::string value) {
  return {.key = key, .lsn = lsn, .type = EntryType::kImage, .base = true, .value = std::move(value)};
}

inline bool equal(const Version& a, const Version& b) {
  return a.lsn == b.lsn && a.type == b.type && a.base == b.base && a.value == b.value;
}

// What a store should answer: everything, by key, oldest first.
class Model {
 public:
  void add(const OwnedEntry& one) {
    versions_[one.key].push_back({.lsn = one.lsn, .type = one.type, .base = one.base, .value = one.value});
  }

  // All versions in (floor, at], oldest first.
  [[nodiscard]] Chain all(const Key& key, Lsn at, Lsn floor) const {
    Chain result;
    const auto found = versions_.find(key);
    if (found == versions_.end()) return result;
    for (const Version& version : found->second) {
      if (version.lsn > floor && version.lsn <= at) result.push_back(version);
    }
    return result;
  }
  [[nodiscard]] Chain chain(const Key& key, Lsn at, Lsn floor) const {
    Chain result = all(key, at, floor);
    for (std::size_t i = result.size(); i-- > 0;) {
      if (result[i].base) return {result.begin() + static_cast<std::ptrdiff_t>(i), result.end()};
    }
    return result;
  }
  [[nodiscard]] std::vector<std::pair<Key, Version>> newest_in(const Key& first, const Key& last, Lsn at) const {
    std::vector<std::pair<Key, Version>> result;
    for (auto i = versions_.lower_bound(first); i != versions_.end() && i->first <= last; ++i) {
      const Chain versions = all(i->first, at, kInvalidLsn);
      if (!versions.empty()) result.emplace_back(i->first, versions.back());
    }
    return result;
  }
  [[nodiscard]] const std::map<Key, Chain>& versions() const { return versions_; }

 private:
  std::map<Key, Chain> versions_;
};

inline bool equal(const Chain& a, const Chain& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Version& x, const Version& y) { return equal(x, y); });
}

}  // namespace strata::testing
