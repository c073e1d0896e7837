// Verifier finds every damage, and nothing else.
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>

#include "store/filter.h"
#include "store/layer_writer.h"
#include "store/manifest.h"
#include "store/verify.h"
#include "store_fault_env.h"
#include "store_testing.h"

namespace strata::testing {
namespace {

const std::string kDirectory = "store";

std::string wal_record(std::uint32_t bytes) {
  std::string value;
  put_u32(value, bytes);
  for (std::uint32_t i = 4; i < bytes; ++i) put_u8(value, static_cast<std::uint8_t>(i * 7));
  return value;
}

OwnedEntry of_type(EntryType type, const Key& key, Lsn lsn, bool base, std::string value) {
  return {.key = key, .lsn = lsn, .type = type, .base = base, .value = std::move(value)};
}

std::string small_diff() {
  std::string diff;
  put_fixed(diff, std::uint16_t{8000});
  put_fixed(diff, std::uint16_t{20});
  return diff + std::string(20, 'd');
}

// A baseline and two flushes, with every type of entry, inline values and value blocks of their own.
void fill(Env& env, Region& region) {
  Writer::create_store(env, kDirectory, {.system_identifier = 7, .timeline = 1});
  StoreOptions options;
  options.value_block_bytes = 256;
  options.index_block_bytes = 128;
  Writer writer(env, kDirectory, region.shared(), options);
  writer.begin_baseline(100);
  for (std::uint32_t block = 0; block < 3; ++block) {
    const std::string value(8192, static_cast<char>('a' + block));
    writer.add_baseline(image(page(1, block), 100, value).entry());
  }
  writer.finish_baseline({.lsn = 100, .time = 1});
  const Key commit_log{.kind = KeyKind::kCommitLog};
  for (Lsn lsn = 101; lsn < 120; ++lsn) {
    std::vector<OwnedEntry> entries = {record(page(1, lsn % 3), lsn, wal_record(24 + static_cast<std::uint32_t>(lsn))),
                                       of_type(EntryType::kXidStatus, commit_log, lsn, false, "\1abcd")};
    if (lsn % 4 == 0) entries.push_back(of_type(EntryType::kPageDiff, page(2, 0), lsn, false, small_diff()));
    if (lsn % 5 == 0) entries.push_back(image(page(3, 0), lsn, std::string(8192, 'i')));
    if (lsn % 6 == 0) {
      entries.push_back(of_type(EntryType::kValue, {.kind = KeyKind::kRelationSize}, lsn, true, "four"));
      entries.push_back(of_type(EntryType::kVmClear, page(4, 0), lsn, false, "1234f"));
      entries.push_back(of_type(EntryType::kVmTruncate, page(4, 0), lsn, false, "1234"));
    }
    put(writer, entries, lsn);
    if (lsn == 110) {
      writer.publish(lsn);
      writer.flush();
    }
  }
  writer.publish(119);
  writer.flush();
}

// Name and problem of each file.
std::vector<std::pair<std::string, std::string>> verify(Env& env, SharedStore* shared = nullptr) {
  std::vector<std::pair<std::string, std::string>> result;
  Verifier verifier(env, kDirectory, shared);
  while (auto file = verifier.next()) result.emplace_back(file->name, file->problem);
  return result;
}

std::string first_problem(Env& env) {
  for (const auto& [name, problem] : verify(env)) {
    if (!problem.empty()) return problem;
  }
  return "";
}

std::string content_of(Env& env, const std::string& name) {
  const auto file = env.open(kDirectory + "/" + name);
  std::string content(file->size(), '\0');
  file->read(0, std::as_writable_bytes(std::span(content)));
  return content;
}

void overwrite(Env& env, const std::string& name, std::string_view content) {
  const auto file = env.create(kDirectory + "/" + name);
  file->append(bytes_of(content));
  file->close();
}

TEST(StoreVerify, ASoundStoreHasNoProblem) {
  FaultEnv env;
  Region region;
  fill(env, region);
  const auto files = verify(env);
  ASSERT_EQ(files.size(), 4U);
  EXPECT_EQ(files.front().first, "MANIFEST");
  for (const auto& [name, problem] : files) EXPECT_EQ(problem, "") << name;
  EXPECT_EQ(verify(env, &region.shared()), files);
}

TEST(StoreVerify, EveryFlippedByteOfEveryFileIsFound) {
  FaultEnv env;
  Region region;
  fill(env, region);
  std::size_t flips = 0;
  for (const auto& [name, problem] : verify(env)) {
    const std::string sound = content_of(env, name);
    for (std::size_t at = 0; at < sound.size(); ++at) {
      std::string damaged = sound;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
      overwrite(env, name, damaged);
      const auto found = verify(env);
      const bool is_found =
          std::any_of(found.begin(), found.end(), [](const auto& one) { return !one.second.empty(); });
      ASSERT_TRUE(is_found) << name << " at " << at;
      ++flips;
    }
    overwrite(env, name, sound);
  }
  EXPECT_GT(flips, 2000U);
  EXPECT_EQ(first_problem(env), "");
}

TEST(StoreVerify, EveryCutAndEveryLongerFileIsFound) {
  FaultEnv env;
  Region region;
  fill(env, region);
  for (const auto& [name, problem] : verify(env)) {
    const std::string sound = content_of(env, name);
    for (std::size_t size = 0; size < sound.size(); size += 1 + size / 16) {
      overwrite(env, name, std::string_view(sound).substr(0, size));
      EXPECT_NE(first_problem(env), "") << name << " cut to " << size;
    }
    overwrite(env, name, sound + "x");
    EXPECT_NE(first_problem(env), "") << name << " with a byte too many";
    overwrite(env, name, sound);
  }
}

TEST(StoreVerify, ALayerThatIsGoneAndAFileOfNobodyAreFound) {
  FaultEnv env;
  Region region;
  fill(env, region);
  overwrite(env, "notes.txt", "x");
  EXPECT_EQ(first_problem(env), "the file belongs to no store");
  env.remove(kDirectory + "/notes.txt");
  const std::string layer = verify(env).back().first;
  const std::string sound = content_of(env, layer);
  env.remove(kDirectory + "/" + layer);
  EXPECT_NE(first_problem(env).find(layer), std::string::npos);
  overwrite(env, layer, sound);
  overwrite(env, "delta0-00000000000000ff-0000000000000001-0000000000000002.layer", "of a crash");
  EXPECT_EQ(first_problem(env), "") << "a layer that no manifest names means nothing";
  env.remove(kDirectory + "/MANIFEST");
  EXPECT_THROW(Verifier(env, kDirectory, nullptr), StoreError);
}

// A store of layers that are written as they are told, whatever that breaks.
class BrokenStore {
 public:
  BrokenStore() {
    env_.create_directory(kDirectory);
    state_.identity = {.system_identifier = 7, .timeline = 1};
    state_.flushed = 1000;
    state_.next_number = 100;
  }

  struct Shape {
    LsnRange lsns = {.begin = 1, .end = 1001};
    bool image = false;
    int level = 0;
  };
  Layer& add(const std::vector<OwnedEntry>& entries, Shape shape) {
    const std::uint64_t number = state_.layers.size() + 1;
    LayerWriter writer(env_, kDirectory, number, shape.image, shape.level, shape.lsns, {});
    std::uint32_t sequence = static_cast<std::uint32_t>(entries.size());
    for (const OwnedEntry& one : entries) writer.add(one.entry(), --sequence);
    return state_.layers[number] = writer.finish();
  }
  Layer& add(const std::vector<OwnedEntry>& entries) { return add(entries, {}); }

  std::string problem() {
    std::string content = encode_manifest_header();
    content += frame_edit(encode_edit(state_.as_edit()), content.size());
    overwrite(env_, "MANIFEST", content);
    return first_problem(env_);
  }
  [[nodiscard]] bool says(std::string_view what) { return problem().find(what) != std::string::npos; }

  FaultEnv& env() { return env_; }
  ManifestState& state() { return state_; }

 private:
  FaultEnv env_;
  ManifestState state_;
};

TEST(StoreVerify, EveryBrokenInvariantOfALayerIsFound) {
  const std::string rec = wal_record(40);
  const auto says = [](const std::vector<OwnedEntry>& entries, std::string_view what, bool is_image = false) {
    BrokenStore store;
    store.add(entries, {.image = is_image});
    if (what.empty()) {
      EXPECT_EQ(store.problem(), "");
    } else {
      EXPECT_TRUE(store.says(what)) << store.problem();
    }
  };
  says({record(page(1, 0), 5, rec), record(page(1, 0), 3, rec)}, "");
  says({record(page(1, 0), 5, rec), record(page(3, 0), 5, rec), record(page(2, 0), 5, rec)}, "out of order");
  says({image(page(1, 0), 5, std::string(8192, 'x')), image(page(1, 0), 3, std::string(8192, 'x'))},
       "more than one base", true);
  says({record(page(1, 0), 5, rec)}, "more than one base", true);
  says({of_type(EntryType::kImage, page(1, 0), 5, false, std::string(8192, 'x'))}, "marked as a base");
  says({of_type(EntryType::kPageDiff, page(1, 0), 5, true, small_diff())}, "marked as a base");
  says({of_type(EntryType::kValue, {.kind = KeyKind::kNextXid}, 5, false, "12345678")}, "marked as a base");
  says({of_type(EntryType::kValue, page(1, 0), 5, true, "x")}, "none of its key's kind");
  says({of_type(static_cast<EntryType>(99), page(1, 0), 5, true, "x")}, "none of its key's kind");
  says({of_type(EntryType::kValue, {.kind = static_cast<KeyKind>(99)}, 5, true, "x")}, "kind is unknown");
  says({of_type(EntryType::kUnreconstructable, page(1, 0), 5, true, "a reason")}, "none of its key's kind");
  says({of_type(EntryType::kUnreconstructable, page(1, 0), 5, true, "a reason")}, "", true);
  says({image(page(1, 0), 5, std::string(8191, 'x'))}, "no page long");
  says({of_type(EntryType::kPageDiff, page(1, 0), 5, false, small_diff() + "x")}, "page diff is damaged");
  says({of_type(EntryType::kPageDiff, page(1, 0), 5, false, small_diff()), record(page(1, 0), 5, rec)},
       "not the only version");
}

TEST(StoreVerify, AFilterThatDeniesAKeyIsFound) {
  BrokenStore store;
  const Layer layer = store.add({record(page(1, 0), 5, wal_record(40))});
  std::string content = content_of(store.env(), layer.info.name);
  const auto filter = [](std::uint32_t relation) {
    BlockEncoder encoder(1);
    return encoder.encode(build_filter({hash_key(encode_key(page(relation, 0)))}, filter_shape(1)), false);
  };
  const EncodedBlock own = filter(1);
  const std::size_t at = content.find(own.payload) + own.payload.size() - own.stored_bytes();
  std::string other;
  filter(2).append_to(other, at);
  overwrite(store.env(), layer.info.name, content.replace(at, other.size(), other));
  EXPECT_TRUE(store.says("the filter denies a key")) << store.problem();
}

TEST(StoreVerify, EveryBrokenInvariantBetweenLayersIsFound) {
  const std::vector<OwnedEntry> first = {record(page(1, 0), 5, wal_record(40))};
  const std::vector<OwnedEntry> second = {record(page(2, 0), 5, wal_record(40))};
  const auto says = [](const std::function<void(BrokenStore&)>& make, std::string_view what) {
    BrokenStore store;
    make(store);
    if (what.empty()) {
      EXPECT_EQ(store.problem(), "");
    } else {
      EXPECT_TRUE(store.says(what)) << store.problem();
    }
  };
  const LsnRange low{.begin = 1, .end = 10};
  const LsnRange high{.begin = 4, .end = 20};
  const LsnRange higher{.begin = 10, .end = 20};
  says([&](BrokenStore& s) { s.add(first), s.add(second); }, "");
  says([&](BrokenStore& s) { s.add(first), s.add(first); }, "share keys");
  says([&](BrokenStore& s) { s.add(first), s.add(second, {.level = 1}); }, "of two levels");
  says([&](BrokenStore& s) { s.add(first, {.lsns = low}), s.add(second, {.lsns = high}); }, "share LSNs");
  const std::vector<OwnedEntry> images = {image(page(1, 0), 5, std::string(8192, 'x'))};
  says([&](BrokenStore& s) { s.add(images, {.lsns = low, .image = true}), s.add(second, {.lsns = high}); },
       "begins before the images");
  const std::vector<OwnedEntry> newer = {record(page(2, 0), 15, wal_record(40))};
  says([&](BrokenStore& s) { s.add(first, {.lsns = low, .level = 1}), s.add(newer, {.lsns = higher}); }, "");
  says([&](BrokenStore& s) { s.add(first, {.lsns = low}), s.add(newer, {.lsns = higher, .level = 1}); },
       "do not rise with age");
  says([&](BrokenStore& s) { s.add(first), s.state().flushed = 50; }, "more than what is said to be flushed");
  says([&](BrokenStore& s) { s.add(first), s.state().next_number = 1; }, "not given out yet");
  says([&](BrokenStore& s) { ++s.add(first).info.entries; }, "not the one that the manifest names");
  says([&](BrokenStore& s) { s.add(first).info.last_key = page(9, 0); }, "not the one that the manifest names");
}

TEST(StoreVerify, ItGoesOnBesideAWriterAndAsksOften) {
  FaultEnv env;
  Region region;
  fill(env, region);
  Writer writer(env, kDirectory, region.shared());
  int pauses = 0;
  Verifier verifier(env, kDirectory, &region.shared(), [&] {
    ++pauses;
    const Lsn lsn = 200 + static_cast<Lsn>(pauses);
    put(writer, {record(page(1, 0), lsn, wal_record(40))}, lsn);
    writer.publish(lsn);
    writer.flush();
  });
  int files = 0;
  while (const auto file = verifier.next()) {
    EXPECT_EQ(file->problem, "") << file->name;
    ++files;
  }
  EXPECT_EQ(files, 5) << "what is flushed after the manifest was read is not part of it";
  EXPECT_GT(pauses, 10);
  EXPECT_EQ(verifier.progress().files_done, 5U);
  EXPECT_EQ(verifier.progress().bytes_done, verifier.progress().bytes_total);
}

TEST(StoreVerify, ALayerThatIsMergedAwayMeanwhileIsNoProblem) {
  FaultEnv env;
  Region region;
  fill(env, region);
  // As a merge does it, beside a walk without shared memory.
  bool done = false;
  Verifier verifier(env, kDirectory, nullptr, [&] {
    if (done) return;
    done = true;
    ManifestState state = read_manifest(env, kDirectory);
    const Layer last = state.layers.rbegin()->second;
    state.layers.erase(last.number);
    std::string content = encode_manifest_header();
    content += frame_edit(encode_edit(state.as_edit()), content.size());
    overwrite(env, "MANIFEST", content);
    env.remove(kDirectory + "/" + last.info.name);
  });
  int files = 0;
  while (const auto file = verifier.next()) {
    EXPECT_EQ(file->problem, "") << file->name;
    ++files;
  }
  EXPECT_EQ(files, 3);
}

TEST(StoreVerify, WhatThePauseThrowsComesThroughAndASlotIsGivenBack) {
  FaultEnv env;
  Region region;
  fill(env, region);
  struct Cancelled {};
  int calls = 0;
  const auto walk = [&] {
    Verifier verifier(env, kDirectory, &region.shared(), [&] {
      if (++calls == 5) throw Cancelled();
    });
    while (verifier.next()) {
    }
  };
  EXPECT_THROW(walk(), Cancelled);
  for (int i = 0; i < SharedStore::kReaderSlots; ++i) EXPECT_GE(region.shared().take_reader_slot(), 0);
}

TEST(StoreVerify, SampledChainsAreThoseOfTheStore) {
  FaultEnv env;
  Region region;
  fill(env, region);
  Reader reader(env, kDirectory, nullptr);
  const auto lengths = reader.sample_chains(200, 1);
  ASSERT_EQ(lengths.size(), 200U);
  bool some = false;
  for (const auto& length : lengths) {
    EXPECT_LE(length.versions, 7U) << "no page has more versions on top of a base";
    some = some || length.versions > 1;
  }
  EXPECT_TRUE(some);
  EXPECT_GT(reader.counters().lookups, 0U);
  EXPECT_EQ(reader.counters().layers, 3U) << "each layer counts once";
  reader.mark_layers();
  (void)reader.chain(page(1, 0), 119);
  EXPECT_EQ(reader.counters().layers, 6U);
}

}  // namespace
}  // namespace strata::testing
