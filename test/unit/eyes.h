// A store as a session would see it.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "store_testing.h"
#include "toy_rebuilder.h"

namespace strata::testing {

inline constexpr std::uint32_t kTablespace = 1663;

inline Key with_kind(Key key, KeyKind kind) {
  key.kind = kind;
  if (kind != KeyKind::kPage) key.block = 0;
  return key;
}

inline Key page_of(std::uint32_t database, std::uint32_t relation, std::uint32_t block) {
  Key key = page(relation, block);
  key.database = database;
  return key;
}

inline Key database_key(std::uint32_t database) {
  return {.kind = KeyKind::kDatabase, .tablespace = kTablespace, .database = database};
}

inline std::string u32(std::uint32_t n) { return {reinterpret_cast<const char*>(&n), sizeof n}; }

inline std::uint32_t read_u32(std::string_view value, std::size_t at = 0) {
  std::uint32_t n = 0;
  std::memcpy(&n, value.data() + at, sizeof n);
  return n;
}

inline OwnedEntry value(const Key& key, Lsn lsn, std::string bytes) {
  return {.key = key, .lsn = lsn, .type = EntryType::kValue, .base = true, .value = std::move(bytes)};
}

// Written apart from the store's own code for it.
class Eyes {
 public:
  explicit Eyes(Reader& reader) : reader_(reader) {}

  // "gone", a number of blocks.
  std::string size(Key key, Lsn at) {
    key = with_kind(key, KeyKind::kRelationSize);
    const auto event = reader_.newest(database_key(key.database), at);
    const auto size = reader_.newest(key, at, event ? event->lsn : kInvalidLsn);
    if (size) return size->value.empty() ? "gone" : std::to_string(read_u32(size->value));
    if (!event || event->value.empty()) return "gone";
    key.database = read_u32(event->value, 4);
    return this->size(key, event->lsn);
  }

  // "nothing", "damaged", the bytes.
  std::string page(const Key& key, Lsn at) {
    const auto event = reader_.newest(database_key(key.database), at);
    const Lsn since = event ? event->lsn : kInvalidLsn;
    Lsn floor = since;
    reader_.history(with_kind(key, KeyKind::kTruncation), at, since, [&](const Version& truncation) {
      if (read_u32(truncation.value) <= key.block) floor = std::max(floor, truncation.lsn);
      return true;
    });
    Chain chain = reader_.chain(key, at, floor);
    if ((chain.empty() || !chain.front().base) && event && !event->value.empty() && floor == since) {
      Key source = key;
      source.database = read_u32(event->value, 4);
      const std::string before = page(source, since);
      if (before == "damaged") return before;
      if (before != "nothing") {
        chain.insert(chain.begin(), {.lsn = since, .type = EntryType::kImage, .base = true, .value = before});
      }
    }
    if (chain.empty()) return "nothing";
    if (!chain.front().base && chain.front().type == EntryType::kRecord) return "damaged";
    return rebuilt(key, chain);
  }

  std::string commit_log(const Key& key, Lsn at) {
    const Chain chain = reader_.chain(key, at);
    return chain.empty() ? "nothing" : rebuilt(key, chain);
  }

  std::string plain(const Key& key, Lsn at) {
    const auto newest = reader_.newest(key, at);
    return newest ? std::to_string(newest->lsn) + std::string(newest->value) : "nothing";
  }

  // The LSN that a time stands for, and the last commit before an LSN.
  std::string moment(std::uint32_t time, Lsn at) {
    const Key last{.kind = KeyKind::kTimeMark, .tablespace = ~0U, .database = ~0U};
    const auto mark = reader_.first_mark_in({.kind = KeyKind::kTimeMark, .database = time + 1}, last);
    std::string answer = mark ? std::to_string(mark->first.database) + std::string(mark->second.value) : "the end";
    std::uint32_t before = 0;
    reader_.scan({.kind = KeyKind::kTimeMark}, last, at, [&](const Key& key, const Version&) {
      before = key.database;
      return true;
    });
    return answer + " after " + std::to_string(before);
  }

  std::string any(const Key& key, Lsn at) {
    switch (key.kind) {
      case KeyKind::kPage:
        return page(key, at);
      case KeyKind::kRelationSize:
        return size(key, at);
      case KeyKind::kCommitLog:
        return commit_log(key, at);
      case KeyKind::kRelationMap: {
        const auto event = reader_.newest(database_key(key.database), at);
        const auto map = reader_.newest(key, at, event ? event->lsn - 1 : kInvalidLsn);
        return map ? std::string(map->value) : "nothing";
      }
      default:
        return plain(key, at);
    }
  }

 private:
  std::string rebuilt(const Key& key, const Chain& chain) {
    try {
      return rebuilder_.rebuild(key, chain);
    } catch (const StoreError&) {
      return "damaged";
    }
  }

  Reader& reader_;
  ToyRebuilder rebuilder_;
};

}  // namespace strata::testing
