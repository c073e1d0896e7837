// Faults and crashes at every operation on files.
#include <gtest/gtest.h>

#include <optional>
#include <set>

#include "store/layer_format.h"
#include "store/verify.h"
#include "store_fault_env.h"
#include "store_testing.h"

namespace strata::testing {
namespace {

constexpr Lsn kBaseline = 100;
constexpr Lsn kStep = 10;
constexpr Lsn kEnd = 600;

StoreOptions options() {
  return {.value_block_bytes = 1000,
          .index_block_bytes = 300,
          .inline_bytes = 16,
          .dictionary_bytes = 0,
          .max_layer_bytes = 3000};
}

std::string value_of(const Key& key, Lsn lsn) {
  std::string value(300, '\0');
  std::uint64_t state = key.block * 1000003 + lsn;
  for (char& c : value) {
    state = state * 6364136223846793005 + 1442695040888963407;
    c = static_cast<char>(state >> 56);
  }
  return value;
}

std::vector<OwnedEntry> baseline() {
  std::vector<OwnedEntry> entries;
  for (std::uint32_t block = 0; block < 30; ++block) {
    entries.push_back(image(page(1, block), kBaseline, value_of(page(1, block), kBaseline)));
  }
  return entries;
}

// The record that ends at `lsn`; one of them is larger than the memtable.
std::vector<OwnedEntry> wal_record(Lsn lsn) {
  std::vector<OwnedEntry> entries;
  for (std::uint32_t i = 0; i < 5; ++i) {
    const Key key = page(1, static_cast<std::uint32_t>((lsn / kStep + i * 7) % 30));
    entries.push_back(record(key, lsn, value_of(key, lsn)));
  }
  if (lsn == 400) entries.push_back(image(page(2, 0), lsn, std::string(200000, 'h')));
  return entries;
}

Model model_up_to(Lsn end) {
  Model model;
  for (const OwnedEntry& one : baseline()) model.add(one);
  for (Lsn lsn = kBaseline + kStep; lsn <= end; lsn += kStep) {
    for (const OwnedEntry& one : wal_record(lsn)) model.add(one);
  }
  return model;
}

// Calls `action` again as long as it throws, `attempts` times in all.
template <class Action>
void insist(int attempts, Action&& action) {
  for (int i = 1;; ++i) {
    try {
      action();
      return;
    } catch (const StoreError&) {
      if (i == attempts) throw;
    }
  }
}

// What a worker does; `acknowledged` is what it was told to be durable.
void work(FaultEnv& env, SharedStore& shared, Lsn& acknowledged, int attempts) {
  insist(attempts, [&] {
    if (!Writer::store_exists(env, "store"))
      Writer::create_store(env, "store", {.system_identifier = 1, .timeline = 1});
  });
  std::unique_ptr<Writer> writer;
  insist(attempts, [&] { writer = std::make_unique<Writer>(env, "store", shared, options()); });
  acknowledged = std::max(acknowledged, writer->flushed_lsn());
  if (writer->horizon().lsn == kInvalidLsn) {
    insist(attempts, [&] {
      if (writer->horizon().lsn != kInvalidLsn) return;
      writer->begin_baseline(kBaseline);
      for (const OwnedEntry& one : baseline()) writer->add_baseline(one.entry());
      writer->finish_baseline({.lsn = kBaseline, .time = 1});
    });
    acknowledged = std::max(acknowledged, writer->flushed_lsn());
  }
  for (Lsn lsn = writer->flushed_lsn() + kStep; lsn <= kEnd; lsn += kStep) {
    insist(attempts, [&] { put(*writer, wal_record(lsn), lsn); });
    writer->publish(lsn);
    if (lsn % 70 == 0) insist(attempts, [&] { writer->flush(); });
    acknowledged = std::max(acknowledged, writer->flushed_lsn());
  }
  insist(attempts, [&] { writer->flush(); });
  acknowledged = writer->flushed_lsn();
}

void expect_only_named_files(FaultEnv& env, const Writer& writer) {
  EXPECT_EQ(files_in(env, "store"), files_of(writer));
}

void expect_content(Reader& reader, Lsn end) {
  const Model model = model_up_to(end);
  for (const auto& [key, versions] : model.versions()) {
    ASSERT_TRUE(equal(reader.chain(key, end), model.chain(key, end, kInvalidLsn))) << key.block << " at " << end;
    std::size_t count = 0;
    reader.history(key, end, kInvalidLsn, [&](const Version&) { return ++count != 0; });
    ASSERT_EQ(count, versions.size()) << key.block << " at " << end;
  }
}

TEST(StoreCrash, ACrashAtAnyOperationLosesNothingThatWasAcknowledged) {
  bool crashed = true;
  std::uint64_t crashes = 0;
  for (std::uint64_t n = 0; crashed; ++n) {
    for (const double keep : {0.0, 0.6, 1.0}) {
      FaultEnv env;
      Lsn acknowledged = kInvalidLsn;
      {
        Region region(SharedStore::min_size());
        env.crash_at(n);
        crashed = false;
        try {
          work(env, region.shared(), acknowledged, 1);
        } catch (const StoreError&) {
          crashed = true;
          ++crashes;
        }
      }
      env.restart(keep);
      Region region(SharedStore::min_size());
      if (Writer::store_exists(env, "store")) {
        const Writer writer(env, "store", region.shared(), options());
        ASSERT_GE(writer.flushed_lsn(), acknowledged) << "crash at " << n;
        expect_only_named_files(env, writer);
        Reader reader(env, "store", &region.shared());
        if (writer.flushed_lsn() != kInvalidLsn) {
          ASSERT_NO_FATAL_FAILURE(expect_content(reader, writer.flushed_lsn())) << "crash at " << n;
        }
      } else {
        ASSERT_EQ(acknowledged, kInvalidLsn);
      }
      work(env, region.shared(), acknowledged, 1);
      Reader reader(env, "store", &region.shared());
      ASSERT_NO_FATAL_FAILURE(expect_content(reader, kEnd)) << "crash at " << n;
    }
  }
  EXPECT_GT(crashes, 100U);
}

TEST(StoreCrash, AFaultAtAnyOperationIsOvercomeByTryingAgain) {
  bool failed = true;
  for (std::uint64_t n = 0; failed; ++n) {
    FaultEnv env;
    Lsn acknowledged = kInvalidLsn;
    Region region(SharedStore::min_size());
    env.fail_at(n, ErrorKind::kNoSpace);
    work(env, region.shared(), acknowledged, 2);
    failed = env.operations() > n;
    ASSERT_EQ(acknowledged, kEnd);
    {
      Reader reader(env, "store", &region.shared());
      ASSERT_NO_FATAL_FAILURE(expect_content(reader, kEnd)) << "fault at " << n;
    }
    env.restart();
    Region after(SharedStore::min_size());
    const Writer writer(env, "store", after.shared(), options());
    expect_only_named_files(env, writer);
    Reader reader(env, "store", &after.shared());
    ASSERT_NO_FATAL_FAILURE(expect_content(reader, kEnd)) << "fault at " << n;
  }
}

TEST(StoreCrash, EveryDamagedByteOfALayerIsAnErrorOrDoesNotMatter) {
  FaultEnv env;
  Region region(SharedStore::min_size());
  Writer::create_store(env, "store", {.system_identifier = 1, .timeline = 1});
  Writer writer(env, "store", region.shared(), options());
  for (Lsn lsn = kBaseline + kStep; lsn < 200; lsn += kStep) {
    put(writer, wal_record(lsn), lsn);
    writer.publish(lsn);
  }
  writer.flush();
  const std::string path = "store/" + writer.layers().front().name;
  const auto read_all = [&] {
    std::string seen;
    Reader reader(env, "store", nullptr);
    for (std::uint32_t block = 0; block < 30; ++block) {
      for (const Version& version : reader.chain(page(1, block), kMaxLsn))
        seen += std::to_string(version.lsn) + std::string(version.value);
    }
    return seen;
  };
  const auto verifying_tells = [&] {
    Verifier verifier(env, "store", nullptr);
    while (const std::optional<VerifiedFile> file = verifier.next()) {
      if (!file->problem.empty()) return path.ends_with(file->name);
    }
    return false;
  };
  const std::string expected = read_all();
  std::string& content = env.content(path);
  Layer layer;
  const BlockHandle filter = read_layer_ends(*env.open(path), content.size(), path, layer).filter;
  ASSERT_NE(filter.size, 0U);
  ASSERT_FALSE(verifying_tells());
  for (std::size_t i = 0; i < content.size(); ++i) {
    // A filter saves reading only.
    const bool matters = i < filter.offset || i >= filter.offset + filter.size;
    content[i] = static_cast<char>(content[i] ^ 0x10);
    try {
      EXPECT_EQ(read_all(), expected) << "offset " << i;
      EXPECT_FALSE(matters) << "offset " << i << " is not covered by a checksum";
      EXPECT_TRUE(verifying_tells()) << "offset " << i;
    } catch (const StoreError& error) {
      EXPECT_TRUE(matters) << "offset " << i;
      EXPECT_TRUE(error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kVersion);
      EXPECT_NE(std::string(error.what()).find(path), std::string::npos);
    }
    content[i] = static_cast<char>(content[i] ^ 0x10);
  }
  for (std::size_t size = 0; size < content.size(); size += 7) {
    const std::string whole = content;
    content.resize(size);
    EXPECT_THROW(read_all(), StoreError);
    content = whole;
  }
}

}  // namespace
}  // namespace strata::testing
