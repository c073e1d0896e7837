// Writes a store to be kept: all kinds of keys, all types of entries, a baseline, merged levels, flushed memtables.
// The same program of the same version writes the same bytes.
//
// usage: strata_golden DIRECTORY
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <random>

#include "golden.h"
#include "store/compactor.h"
#include "store_testing.h"

namespace strata::testing {
namespace {

constexpr std::uint32_t kTablespace = 1663;
constexpr std::uint32_t kDatabase = 5;
constexpr std::uint32_t kCopy = 16500;  // a database that is copied from kDatabase
constexpr std::uint32_t kTable = 16384;
constexpr std::uint32_t kIndex = 16390;
constexpr Lsn kBaseline = 1000;

StoreOptions options() {
  return {.value_block_bytes = 8 * 1024,
          .index_block_bytes = 512,
          .inline_bytes = 64,
          .dictionary_bytes = 512,
          .sample_bytes = 20000,
          .dictionary_reach = 20000,
          .max_layer_bytes = 12000};
}

template <class Number>
std::string bytes_of_number(Number number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

Key page_of(std::uint32_t database, std::uint32_t relation, std::uint8_t fork, std::uint32_t block) {
  return {.kind = KeyKind::kPage,
          .tablespace = kTablespace,
          .database = database,
          .relation = relation,
          .fork = fork,
          .block = block};
}

class Maker {
 public:
  explicit Maker(std::string directory) : directory_(std::move(directory)) {}

  void make() {
    Writer::create_store(posix_env(), directory_, {.system_identifier = 7'000'000'000'000'000'001, .timeline = 1});
    FlusherHooks hooks;
    hooks.prove = [this] { return next_proof(); };
    Writer writer(posix_env(), directory_, region_.shared(), options(), hooks);
    take_baseline(writer);
    GoldenRebuilder rebuilder;
    CompactorOptions merging;
    merging.store = options();
    merging.bounds.records = 8;
    merging.layer_bytes = 40000;
    merging.fan_in = 4;
    merging.flushed_fan_in = 4;
    Compactor compactor(posix_env(), directory_, region_.shared(), rebuilder, merging);
    for (int flush = 0; flush < 23; ++flush) {
      for (int i = 0; i < 12; ++i) put_record(writer);
      writer.flush();
      while (compactor.merge()) {
        if (!writer.serve_compactor()) throw StoreError(ErrorKind::kInvalid, "a merge was refused");
      }
    }
    report(writer, region_.shared());
  }

 private:
  // As if a record stood in WAL right behind what is put.
  [[nodiscard]] JoinProof next_proof() const {
    return {.begin = end_ + 1,
            .end = end_ + 2,
            .previous = end_,
            .crc = static_cast<std::uint32_t>(end_ * 7),
            .timeline = 1};
  }
  std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }

  // Text of a kind, which compresses as pages do.
  std::string random_page() {
    std::string value;
    while (value.size() < kPageBytes) value += "row " + std::to_string(below(100000)) + " of a table, and a filler; ";
    value.resize(kPageBytes);
    return value;
  }
  std::string random_bytes(std::size_t size) {
    std::string value(size, '\0');
    for (char& c : value) c = static_cast<char>(random_() >> 8);
    return value;
  }
  std::string random_record(std::size_t size) {
    return bytes_of_number(static_cast<std::uint16_t>(below(7000))) + random_bytes(size);
  }

  void add(const Key& key, EntryType type, bool base, std::string value) {
    entries_.push_back({.key = key, .lsn = end_, .type = type, .base = base, .value = std::move(value)});
  }
  void add_image(const Key& key, const std::string& value) {
    pages_[key] = value;
    add(key, EntryType::kImage, true, value);
  }

  void take_baseline(Writer& writer) {
    end_ = kBaseline;
    for (std::uint32_t block = 0; block < 8; ++block) add_image(page_of(kDatabase, kTable, 0, block), random_page());
    add_image(page_of(kDatabase, kTable, 2, 0), std::string(kPageBytes, '\x03'));
    for (std::uint32_t block = 0; block < 3; ++block)
      add_image(page_of(kDatabase, kIndex, 0, block), random_bytes(kPageBytes));
    add_image(page_of(kDatabase, kIndex, 3, 0), random_page());
    for (const std::uint32_t relation : {kTable, kIndex}) {
      Key size = page_of(kDatabase, relation, 0, 0);
      size.kind = KeyKind::kRelationSize;
      add(size, EntryType::kValue, true, bytes_of_number(std::uint32_t{relation == kTable ? 8U : 3U}));
    }
    add({.kind = KeyKind::kCommitLog}, EntryType::kImage, true, std::string(kPageBytes, '\x55'));
    add({.kind = KeyKind::kMultiXact, .block = 7}, EntryType::kValue, true, random_bytes(24));
    add({.kind = KeyKind::kRelationMap, .tablespace = 1664}, EntryType::kValue, true, random_bytes(524));
    add({.kind = KeyKind::kRelationMap, .tablespace = kTablespace, .database = kDatabase}, EntryType::kValue, true,
        random_bytes(524));
    add({.kind = KeyKind::kCheckpoint}, EntryType::kValue, true, random_bytes(88));
    add({.kind = KeyKind::kNextXid}, EntryType::kValue, true, bytes_of_number(std::uint64_t{740}));
    add({.kind = KeyKind::kTablespace, .tablespace = 16600}, EntryType::kValue, true, "/srv/tablespace");
    std::sort(entries_.begin(), entries_.end(), [](const OwnedEntry& a, const OwnedEntry& b) { return a.key < b.key; });
    writer.begin_baseline(kBaseline);
    for (const OwnedEntry& one : entries_) writer.add_baseline(one.entry());
    writer.finish_baseline({.lsn = kBaseline + 5, .time = 800'000'000'000'000});
    entries_.clear();
    end_ = kBaseline + 5;
  }

  void change_page() {
    const std::uint32_t block = below(8);
    const Key key = below(4) == 0 ? page_of(kDatabase, kIndex, 0, block % 3) : page_of(kDatabase, kTable, 0, block);
    switch (below(7)) {
      case 6: {
        // As pruning leaves it: what stands behind a tuple that goes moves up.
        std::string value = pages_.at(key);
        const std::uint32_t at = 8 * (1 + below(300));
        value.replace(at + 64, 4096, value.substr(at, 4096));
        add_image(key, value);
        break;
      }
      case 0:
        add_image(key, below(3) == 0 ? random_bytes(kPageBytes) : random_page());
        break;
      case 1: {
        // As hint bits leave it: compaction makes a diff, or nothing, of it.
        std::string value = pages_.at(key);
        for (std::uint32_t n = below(20); n > 0; --n) value[below(kPageBytes)] ^= 1;
        add_image(key, value);
        break;
      }
      case 2:
        // A record that initialises the page.
        add(key, EntryType::kRecord, true, random_record(900));
        break;
      case 3:
        // Two versions of one record.
        add(key, EntryType::kRecord, false, random_record(10));
        add(key, EntryType::kRecord, false, random_record(40));
        break;
      default:
        add(key, EntryType::kRecord, false, random_record(1 + below(below(9) == 0 ? 3000 : 60)));
        break;
    }
  }

  void put_record(Writer& writer) {
    end_ += 1 + below(8);
    change_page();
    if (below(3) == 0)
      add(page_of(kDatabase, kTable, 2, 0), EntryType::kVmClear, false, '\x01' + bytes_of_number(below(8)));
    if (below(20) == 0) add(page_of(kDatabase, kTable, 2, 0), EntryType::kVmTruncate, false, bytes_of_number(below(8)));
    if (below(2) == 0) {
      add({.kind = KeyKind::kCommitLog}, EntryType::kXidStatus, false, '\x01' + bytes_of_number(700 + below(300)));
      const std::uint64_t time = (std::uint64_t{1} << 63) + 800'000'000'000'000 + end_;
      add({.kind = KeyKind::kTimeMark,
           .tablespace = static_cast<std::uint32_t>(time >> 32),
           .database = static_cast<std::uint32_t>(time)},
          EntryType::kValue, true, bytes_of_number(std::uint64_t{end_ - 1}));
    }
    if (below(25) == 0) {
      Key reset = page_of(kDatabase, kTable, 0, 0);
      reset.kind = KeyKind::kRelationReset;
      const std::uint32_t blocks = 2 + below(6);
      add(reset, EntryType::kValue, true, bytes_of_number(blocks));
      reset.kind = KeyKind::kRelationSize;
      add(reset, EntryType::kValue, true, bytes_of_number(blocks));
    }
    if (!copied_ && end_ > 1300) {
      copied_ = true;
      add({.kind = KeyKind::kDatabase, .tablespace = kTablespace, .database = kCopy}, EntryType::kValue, true,
          bytes_of_number(kTablespace) + bytes_of_number(kDatabase));
    }
    // Its base lies in the database that it was copied from.
    if (copied_ && below(6) == 0)
      add(page_of(kCopy, kTable, 0, below(3)), EntryType::kRecord, false, random_record(20));
    if (below(15) == 0)
      add({.kind = KeyKind::kMultiXact, .block = 8 + below(100)}, EntryType::kValue, true, random_bytes(16));
    if (below(30) == 0) add({.kind = KeyKind::kCheckpoint}, EntryType::kValue, true, random_bytes(88));
    if (below(30) == 0) add({.kind = KeyKind::kNextXid}, EntryType::kValue, true, bytes_of_number(std::uint64_t{end_}));
    if (below(60) == 0) {
      add({.kind = KeyKind::kRelationMap, .tablespace = kTablespace, .database = kDatabase}, EntryType::kValue, true,
          random_bytes(524));
    }
    put(writer, entries_, end_);
    writer.publish(end_);
    entries_.clear();
  }

  void report(const Writer& writer, SharedStore& shared) {
    for (const LayerInfo& layer : writer.layers())
      std::printf("%s: %llu bytes\n", layer.name.c_str(), static_cast<unsigned long long>(layer.bytes));
    Reader reader(posix_env(), directory_, &shared);
    const GoldenDigest digest = digest_of(reader, golden_lsns());
    std::ofstream(directory_ + "/versions.txt") << digest.versions;
    std::ofstream(directory_ + "/states.txt") << digest.states;
  }

  std::string directory_;
  Region region_;
  std::minstd_rand random_{20261122};
  Lsn end_ = kInvalidLsn;
  bool copied_ = false;
  std::map<Key, std::string> pages_;  // images as they were last written
  std::vector<OwnedEntry> entries_;
};

}  // namespace
}  // namespace strata::testing

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: strata_golden DIRECTORY\n");
    return 2;
  }
  try {
    strata::testing::Maker(argv[1]).make();
  } catch (const strata::StoreError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
