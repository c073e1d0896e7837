// What the program that writes stores to be kept and the test that reads them have in common.
#pragma once

#include <xxhash.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "store/incarnations.h"
#include "store/page_diff.h"
#include "store/page_rebuilder.h"
#include "store/store.h"

namespace strata::testing {

// Redo as these stores mean it, fixed for ever: a record is a u16 offset and the bytes that go there; what clears or
// sets bits sets the byte that its first number stands for.
class GoldenRebuilder : public PageRebuilder {
 public:
  void begin(const Key&) override { page_.assign(kPageBytes, '\0'); }

  void apply(const Version& version) override {
    if (version.base) page_.assign(kPageBytes, '\0');
    switch (version.type) {
      case EntryType::kImage:
        page_ = version.value;
        page_.resize(kPageBytes);
        break;
      case EntryType::kPageDiff:
        if (!apply_page_diff(version.value, page_)) throw StoreError(ErrorKind::kCorrupt, "a page diff does not apply");
        break;
      case EntryType::kRecord: {
        std::uint16_t at = 0;
        std::memcpy(&at, version.value.data(), sizeof at);
        page_.replace(at, version.value.size() - sizeof at, version.value.view().substr(sizeof at));
        page_.resize(kPageBytes);
        break;
      }
      default: {
        std::uint32_t number = 0;
        std::memcpy(&number, version.value.data() + version.value.size() - sizeof number, sizeof number);
        page_[number % kPageBytes] = version.value[0];
      }
    }
  }
  [[nodiscard]] std::string_view page() const override { return page_; }

 private:
  std::string page_;
};

// Everything that a store answers, as text. `versions`: a line for each version as it is stored; `states`: a line for
// each key with what it was at every LSN of `lsns`, which merging must not change.
struct GoldenDigest {
  std::string versions;
  std::string states;
};

inline std::string name_of(const Key& key) {
  char text[80];
  std::snprintf(text, sizeof text, "%u/%u/%u/%u/%u/%u", static_cast<unsigned>(key.kind), key.tablespace, key.database,
                key.relation, key.fork, key.block);
  return text;
}

inline std::string hex(std::uint64_t number) {
  char text[20];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

inline std::vector<Key> all_keys(Reader& reader) {
  std::vector<Key> keys;
  constexpr std::uint32_t kMax = 0xFFFFFFFF;
  const Key last{.kind = static_cast<KeyKind>(0xFF),
                 .tablespace = kMax,
                 .database = kMax,
                 .relation = kMax,
                 .fork = 0xFF,
                 .block = kMax};
  reader.scan({.kind = KeyKind::kPage}, last, kMaxLsn, [&](const Key& key, const Version&) {
    keys.push_back(key);
    return true;
  });
  return keys;
}

inline void mix(std::uint64_t& hash, std::string_view bytes) {
  hash = XXH3_64bits_withSeed(bytes.data(), bytes.size(), hash);
}

// What a key is at an LSN: of pages and the commit log the state, of others the version.
inline void mix_state(std::uint64_t& hash, Reader& reader, Incarnations& incarnations, const Key& key, Lsn at) {
  const bool is_page = key.kind == KeyKind::kPage;
  const Chain chain = reader.chain(key, at, is_page ? incarnations.floor_at(key, at) : kInvalidLsn);
  mix(hash, chain.empty() ? "nothing" : chain.front().base ? "known" : "unknown");
  if (is_page || key.kind == KeyKind::kCommitLog) {
    GoldenRebuilder rebuilder;
    rebuilder.begin(key);
    for (const Version& version : chain) rebuilder.apply(version);
    mix(hash, rebuilder.page());
    return;
  }
  for (const Version& version : chain) mix(hash, hex(version.lsn) + std::string(version.value));
}

inline GoldenDigest digest_of(Reader& reader, const std::vector<Lsn>& lsns) {
  GoldenDigest digest;
  Incarnations incarnations(reader, kMaxLsn);
  for (const Key& key : all_keys(reader)) {
    reader.history(key, kMaxLsn, kInvalidLsn, [&](const Version& version) {
      std::uint64_t hash = 0;
      mix(hash, version.value);
      digest.versions += name_of(key) + " " + std::to_string(version.lsn) + " type " +
                         std::to_string(static_cast<unsigned>(version.type)) + (version.base ? " base " : " ") +
                         std::to_string(version.value.size()) + " " + hex(hash) + "\n";
      return true;
    });
    std::uint64_t hash = 0;
    for (const Lsn lsn : lsns) mix_state(hash, reader, incarnations, key, lsn);
    digest.states += name_of(key) + " " + hex(hash) + "\n";
  }
  return digest;
}

// LSNs at which states are compared: from the first to the last of all stores that are kept.
inline std::vector<Lsn> golden_lsns() {
  std::vector<Lsn> lsns;
  for (Lsn lsn = 1000; lsn <= 3000; lsn += 7) lsns.push_back(lsn);
  return lsns;
}

}  // namespace strata::testing
