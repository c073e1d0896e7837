// For tests: changes values in the layers of a store, behind right checksums, as a defect of strata's would.
//
// usage: strata_mutate DIR random SEED COUNT LAST  versions of pages of relfilenumbers from 16384 to LAST, at most one
// of
//                                                  each page
//        strata_mutate DIR aimed GENERIC HEAP      offset 16184 in each generic record of the first relfilenumber;
//        prefix
//                                                  length 0xfff0 in each heap update of the second that has a prefix
//        strata_mutate DIR row RELATION BLOCK      the last byte of the row that the newest record of the page inserts
//        strata_mutate DIR type RELATION BLOCK     the newest version of the page is said to be transaction statuses
//        strata_mutate DIR omit RELATION BLOCK     leaves that version out
//        strata_mutate DIR abort XID NOTHING       the transaction's status becomes aborted
//        strata_mutate DIR same NOTHING NOTHING    changes nothing, but writes all layers anew
//
// No server may run on the store. Prints a line for each version that was changed:
// kind type tablespace database relation fork block lsn how
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "store/block_cache.h"
#include "store/compaction_result.h"
#include "store/layer_writer.h"
#include "store/manifest.h"
#include "store/merge_cursor.h"
#include "store/store.h"

namespace {

using namespace strata;

// PostgreSQL's numbers (access/rmgrlist.h, access/heapam_xlog.h, access/xlogrecord.h).
constexpr std::uint8_t kHeapRmgr = 10;
constexpr std::uint8_t kGenericRmgr = 20;
constexpr std::uint8_t kHeapOperations = 0x70;
constexpr std::uint8_t kHeapUpdate = 0x20;
constexpr std::uint8_t kHeapHotUpdate = 0x40;
constexpr std::uint8_t kPrefixFromOld = 1 << 5;
constexpr std::size_t kRecordHeader = 24;
constexpr std::uint32_t kFirstUserRelation = 16384;

template <class T>
T get(const std::string& bytes, std::size_t at) {
  T value{};
  if (at + sizeof(T) <= bytes.size()) std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

template <class T>
void set(std::string& bytes, std::size_t at, T value) {
  if (at + sizeof(T) <= bytes.size()) std::memcpy(bytes.data() + at, &value, sizeof(T));
}

// Where the parts of a record without images lie.
struct Layout {
  std::vector<std::size_t> blocks;  // data of each
  std::vector<std::size_t> block_bytes;
  std::size_t main = 0;
};

Layout layout_of(const std::string& record) {
  Layout layout;
  std::size_t at = kRecordHeader;
  std::size_t data = 0;
  // A record without main data ends with the data of its blocks.
  while (at + data < record.size()) {
    const auto id = get<std::uint8_t>(record, at);
    if (id == 255 || id == 254) {
      at += id == 255 ? 2 : 5;
      break;
    }
    if (id == 253 || id == 252) {
      at += id == 253 ? 3 : 5;
      continue;
    }
    const auto flags = get<std::uint8_t>(record, at + 1);
    layout.block_bytes.push_back(get<std::uint16_t>(record, at + 2));
    at += 4 + ((flags & 0x80) != 0 ? 0 : 12) + 4;
    data += layout.block_bytes.back();
  }
  for (const std::size_t bytes : layout.block_bytes) {
    layout.blocks.push_back(at);
    at += bytes;
  }
  layout.main = at;
  return layout;
}

// Changes a version, and says how; empty when it leaves the version as it is.
using Mutation = std::function<std::string(const Key&, IndexEntry&, std::string&)>;

// What a Mutation says of a version that is to be left out.
constexpr const char* kOmitted = "omitted";

std::string set_fragment(std::string& record) {
  if (get<std::uint8_t>(record, 17) != kGenericRmgr) return {};
  std::string how;
  const Layout layout = layout_of(record);
  for (std::size_t i = 0; i < layout.blocks.size(); ++i) {
    if (layout.block_bytes[i] < 4) continue;
    set<std::uint16_t>(record, layout.blocks[i], 16184);
    how = "fragment";
  }
  return how;
}

std::string set_prefix(std::string& record) {
  if (get<std::uint8_t>(record, 17) != kHeapRmgr) return {};
  const std::uint8_t operation = get<std::uint8_t>(record, 16) & kHeapOperations;
  if (operation != kHeapUpdate && operation != kHeapHotUpdate) return {};
  const Layout layout = layout_of(record);
  if (layout.blocks.empty() || (get<std::uint8_t>(record, layout.main + 7) & kPrefixFromOld) == 0) return {};
  set<std::uint16_t>(record, layout.blocks[0], 0xfff0);
  return "prefix";
}

std::string change_somewhere(std::string& value, std::mt19937_64& random) {
  if (value.empty()) return {};
  // Heads of records, and what follows them, more often than rows.
  const std::size_t reach = random() % 3 == 0 ? value.size() : std::min<std::size_t>(value.size(), 80);
  const std::size_t at = random() % reach;
  const auto here = [&](const char* what) { return std::string(what) + "@" + std::to_string(at); };
  switch (random() % 8) {
    case 0:
    case 1:
      value[at] = static_cast<char>(value[at] ^ 1 << random() % 8);
      return here("bit");
    case 2:
      value[at] = static_cast<char>(random());
      return here("byte");
    case 3:
      set<std::uint16_t>(value, at, 0xffff);
      return here("ffff");
    case 4:
      set<std::uint16_t>(value, at, static_cast<std::uint16_t>(0xfff0 + random() % 16));
      return here("fffx");
    case 5:
      set<std::uint16_t>(value, at, 0);
      return here("zero");
    case 6:
      set<std::uint32_t>(value, at, static_cast<std::uint32_t>(random()));
      return here("word");
    default:
      // Whatever length stands in it is wrong then, and that of a record is put right.
      value.resize(std::max<std::size_t>(1, random() % value.size()));
      if (value.size() > kRecordHeader) set<std::uint32_t>(value, 0, static_cast<std::uint32_t>(value.size()));
      return "cut";
  }
}

void print(const Key& key, const IndexEntry& entry, const std::string& how) {
  std::printf("%d %d %u %u %u %u %u %X/%X %s\n", static_cast<int>(key.kind), static_cast<int>(entry.type),
              key.tablespace, key.database, key.relation, key.fork, key.block, static_cast<unsigned>(entry.lsn >> 32),
              static_cast<unsigned>(entry.lsn), how.c_str());
}

class Mutator {
 public:
  explicit Mutator(std::string directory) : directory_(std::move(directory)), cache_(std::size_t{16} << 20) {}

  void for_each(const std::function<void(const Layer&, RunStream&)>& visit) {
    const ManifestState state = read_manifest(env_, directory_);
    for (const auto& [number, layer] : state.layers) {
      if (layer.info.image) continue;
      for (RunStream stream(env_, directory_, {layer}, cache_); stream.valid(); stream.next()) visit(layer, stream);
    }
  }

  // Writes each delta layer anew with what `change` makes of its values.
  void rewrite(const Mutation& change) {
    const ManifestState state = read_manifest(env_, directory_);
    std::vector<std::byte> memory(SharedStore::min_size() + (std::size_t{1} << 20) + 64);
    void* aligned = memory.data();
    std::size_t space = memory.size();
    aligned = std::align(64, memory.size() - 64, aligned, space);
    SharedStore& shared = SharedStore::create({static_cast<std::byte*>(aligned), memory.size() - 64});
    Writer writer(env_, directory_, shared);
    shared.set_merge_floor(shared.next_layer_number());
    ManifestEdit edit;
    for (const auto& [number, layer] : state.layers) {
      if (layer.info.image) continue;
      edit.removed.push_back(number);
      edit.added.push_back(rewrite(layer, shared.take_layer_number(), change));
    }
    env_.sync_directory(directory_);
    write_compaction_result(env_, directory_, edit);
    shared.set_result_state(SharedStore::ResultState::kRequested);
    writer.serve_compactor();
  }

 private:
  Layer rewrite(const Layer& layer, std::uint64_t number, const Mutation& change) {
    LayerWriter output(env_, directory_, number, false, layer.info.level, layer.info.lsns, {});
    for (RunStream input(env_, directory_, {layer}, cache_); input.valid(); input.next()) {
      IndexEntry entry = input.entry();
      const Key key = decode_key(entry.key);
      std::string value(input.value().view());
      const std::string how = change(key, entry, value);
      if (!how.empty()) print(key, entry, how);
      if (how == kOmitted) continue;
      output.add({.key = key, .lsn = entry.lsn, .type = entry.type, .base = entry.base, .value = as_bytes(value)},
                 entry.sequence);
    }
    return output.finish();
  }

  Env& env_ = posix_env();
  std::string directory_;
  BlockCache cache_;
};

// COUNT versions, at most one of each key.
void mutate_randomly(Mutator& mutator, std::uint64_t seed, std::size_t count, std::uint32_t last) {
  std::mt19937_64 random(seed);
  std::map<Key, std::vector<std::pair<Lsn, std::uint32_t>>> versions;
  mutator.for_each([&](const Layer&, RunStream& stream) {
    const IndexEntry& entry = stream.entry();
    const Key key = decode_key(entry.key);
    if (key.kind != KeyKind::kPage || key.relation < kFirstUserRelation || key.relation > last) return;
    versions[key].emplace_back(entry.lsn, entry.sequence);
  });
  std::vector<Key> keys;
  for (const auto& [key, list] : versions) keys.push_back(key);
  std::shuffle(keys.begin(), keys.end(), random);
  std::set<std::tuple<Key, Lsn, std::uint32_t>> chosen;
  for (const Key& key : keys) {
    if (chosen.size() == count) break;
    const auto& list = versions[key];
    const auto& [lsn, sequence] = list[random() % list.size()];
    chosen.emplace(key, lsn, sequence);
  }
  mutator.rewrite([&](const Key& key, IndexEntry& entry, std::string& value) {
    if (!chosen.contains({key, entry.lsn, entry.sequence})) return std::string();
    const std::string before = value;
    std::string how = change_somewhere(value, random);
    return value == before ? std::string() : how;
  });
}

void mutate_aimed(Mutator& mutator, std::uint64_t generic, std::uint64_t heap) {
  mutator.rewrite([&](const Key& key, IndexEntry& entry, std::string& value) {
    if (key.kind != KeyKind::kPage || entry.type != EntryType::kRecord) return std::string();
    if (key.relation == generic) return set_fragment(value);
    return key.relation == heap ? set_prefix(value) : std::string();
  });
}

// The newest version of a page of a main fork.
void mutate_page(Mutator& mutator, const std::string& what, std::uint64_t relation, std::uint64_t block) {
  const auto is_it = [&](const Key& key) {
    return key.kind == KeyKind::kPage && key.relation == relation && key.fork == 0 && key.block == block;
  };
  Lsn newest = kInvalidLsn;
  mutator.for_each([&](const Layer&, RunStream& stream) {
    if (is_it(decode_key(stream.entry().key))) newest = std::max(newest, stream.entry().lsn);
  });
  mutator.rewrite([&](const Key& key, IndexEntry& entry, std::string& value) {
    if (!is_it(key) || entry.lsn != newest) return std::string();
    if (what == "omit") return std::string(kOmitted);
    if (what == "type") {
      entry.type = EntryType::kXidStatus;
      return what;
    }
    const Layout layout = layout_of(value);
    if (entry.type != EntryType::kRecord || layout.blocks.empty()) return std::string();
    value[layout.blocks[0] + layout.block_bytes[0] - 1] ^= 1;
    return what;
  });
}

void mutate_status(Mutator& mutator, std::uint64_t xid) {
  constexpr char kAborted = 2;
  mutator.rewrite([&](const Key& key, IndexEntry& entry, std::string& value) {
    if (key.kind != KeyKind::kCommitLog || entry.type != EntryType::kXidStatus) return std::string();
    for (std::size_t at = 1; at + sizeof(std::uint32_t) <= value.size(); at += sizeof(std::uint32_t)) {
      if (get<std::uint32_t>(value, at) != xid) continue;
      value[0] = kAborted;
      return std::string("aborted");
    }
    return std::string();
  });
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc >= 3 ? argv[2] : "";
  const std::set<std::string> exact = {"aimed", "row", "type", "omit", "abort", "same"};
  if (!(what == "random" && argc == 6) && !(exact.contains(what) && argc == 5)) {
    std::fprintf(stderr,
                 "usage: strata_mutate DIR random SEED COUNT LAST | aimed GENERIC HEAP | "
                 "row|type|omit RELATION BLOCK | abort XID NOTHING | same NOTHING NOTHING\n");
    return 2;
  }
  const std::uint64_t first = std::strtoull(argv[3], nullptr, 10);
  const std::uint64_t second = std::strtoull(argv[4], nullptr, 10);
  try {
    Mutator mutator(argv[1]);
    if (what == "random") {
      mutate_randomly(mutator, first, second, static_cast<std::uint32_t>(std::strtoul(argv[5], nullptr, 10)));
    } else if (what == "aimed") {
      mutate_aimed(mutator, first, second);
    } else if (what == "abort") {
      mutate_status(mutator, first);
    } else if (what == "same") {
      mutator.rewrite([](const Key&, IndexEntry&, std::string&) { return std::string(); });
    } else {
      mutate_page(mutator, what, first, second);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "strata_mutate: %s\n", error.what());
    return 1;
  }
  return 0;
}
