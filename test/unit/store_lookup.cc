// Lookups at boundaries, over memtable, layers and both.
#include <gtest/gtest.h>

#include "store_fault_env.h"
#include "store_testing.h"

namespace strata::testing {
namespace {

class StoreLookup : public ::testing::Test {
 protected:
  StoreLookup() { Writer::create_store(env_, "store", {.system_identifier = 7, .timeline = 1}); }

  Writer& writer() {
    if (writer_ == nullptr) writer_ = std::make_unique<Writer>(env_, "store", region_.shared());
    return *writer_;
  }
  Reader& reader() {
    if (reader_ == nullptr) reader_ = std::make_unique<Reader>(env_, "store", &region_.shared());
    return *reader_;
  }
  void add(const std::vector<OwnedEntry>& entries) {
    put(writer(), entries, entries.front().lsn);
    writer().publish(entries.front().lsn);
  }

  FaultEnv env_;
  Region region_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Reader> reader_;
};

std::string values(const Chain& chain) {
  std::string result;
  for (const Version& version : chain) result += (result.empty() ? "" : " ") + std::string(version.value);
  return result;
}

TEST_F(StoreLookup, IdentityAndHorizonOfANewStore) {
  EXPECT_EQ(writer().identity().system_identifier, 7U);
  EXPECT_EQ(reader().identity().timeline, 1U);
  EXPECT_EQ(reader().horizon().lsn, kInvalidLsn);
  EXPECT_TRUE(Writer::store_exists(env_, "store"));
  EXPECT_THROW(Writer::create_store(env_, "store", {}), StoreError);
}

TEST_F(StoreLookup, AChainBeginsAtTheNewestBaseAtOrBeforeTheLsn) {
  const Key key = page(1, 0);
  for (const bool flushed : {false, true}) {
    if (flushed) {
      writer().flush();
    } else {
      add({image(key, 10, "a")});
      add({record(key, 20, "b")});
      add({image(key, 30, "c")});
      add({record(key, 40, "d")});
    }
    EXPECT_EQ(values(reader().chain(key, 9)), "");
    EXPECT_EQ(values(reader().chain(key, 10)), "a");
    EXPECT_EQ(values(reader().chain(key, 19)), "a");
    EXPECT_EQ(values(reader().chain(key, 20)), "a b");
    EXPECT_EQ(values(reader().chain(key, 29)), "a b");
    EXPECT_EQ(values(reader().chain(key, 30)), "c");
    EXPECT_EQ(values(reader().chain(key, kMaxLsn)), "c d");
    EXPECT_EQ(values(reader().chain(key, 20, 10)), "b");
    EXPECT_EQ(values(reader().chain(key, 20, 20)), "");
    EXPECT_EQ(values(reader().chain(key, 40, 30)), "d");
    EXPECT_EQ(values(reader().chain(page(1, 1), 40)), "");
    EXPECT_EQ(reader().newest(key, 39)->value.view(), "c");
    EXPECT_FALSE(reader().newest(key, 39, 30).has_value());
  }
}

TEST_F(StoreLookup, AChainGoesFromTheMemtableThroughSeveralLayers) {
  const Key key = page(1, 0);
  add({image(key, 10, "a")});
  writer().flush();
  add({record(key, 20, "b"), record(page(9, 9), 20, "x")});
  writer().flush();
  add({record(key, 30, std::string(100, 'c'))});
  writer().flush();
  add({record(key, 40, "d")});
  EXPECT_EQ(values(reader().chain(key, 40)), "a b " + std::string(100, 'c') + " d");
  EXPECT_EQ(values(reader().chain(key, 20)), "a b");
  EXPECT_EQ(reader().layers().size(), 3U);
  EXPECT_EQ(reader().layers().front().lsns, (LsnRange{.begin = 30, .end = 31}));
}

TEST_F(StoreLookup, VersionsOfOneLsnKeepTheOrderOfPut) {
  const Key key = page(1, 0);
  add({image(key, 10, "a"), record(key, 10, "b"), record(page(0, 0), 10, "x"), record(key, 10, "c")});
  EXPECT_EQ(values(reader().chain(key, 10)), "a b c");
  EXPECT_EQ(reader().newest(key, 10)->value.view(), "c");
  writer().flush();
  EXPECT_EQ(values(reader().chain(key, 10)), "a b c");
  EXPECT_EQ(reader().newest(key, 10)->value.view(), "c");
}

TEST_F(StoreLookup, OneLsnMayReachOverManyIndexBlocks) {
  const Key key = page(1, 0);
  std::vector<OwnedEntry> entries{image(key, 10, "base")};
  std::string expected = "base";
  for (int i = 0; i < 4000; ++i) {
    entries.push_back(record(key, 10, "value" + std::to_string(i)));
    expected += " " + entries.back().value;
  }
  Region big(4 << 20);
  writer_ = std::make_unique<Writer>(env_, "store", big.shared(), StoreOptions{.index_block_bytes = 512});
  put(*writer_, entries, 10);
  writer_->publish(10);
  writer_->flush();
  Reader reader(env_, "store", &big.shared());
  EXPECT_EQ(values(reader.chain(key, 10)), expected);
  writer_.reset();
}

TEST_F(StoreLookup, AFilterOfManyBlocksRulesKeysOutAndNoneOfItsLayer) {
  constexpr std::uint32_t kKeys = 40'000;
  Region big(16 << 20);
  writer_ = std::make_unique<Writer>(env_, "store", big.shared());
  std::vector<OwnedEntry> entries;
  for (std::uint32_t i = 0; i < kKeys; ++i) entries.push_back(image(page(1, 2 * i), 10, "v"));
  put(*writer_, entries, 10);
  writer_->publish(10);
  writer_->flush();
  Reader reader(env_, "store", &big.shared());
  const auto searches = [&](std::uint32_t first) {
    const std::uint64_t before = reader.counters().lookups;
    std::uint32_t found = 0;
    for (std::uint32_t i = first; i < 2 * kKeys; i += 10) found += reader.newest(page(1, i), 10) ? 1 : 0;
    EXPECT_EQ(found, first == 0 ? kKeys / 5 : 0);
    return reader.counters().lookups - before;
  };
  EXPECT_LT(searches(1), kKeys / 5 / 20);
  EXPECT_EQ(searches(0), kKeys / 5);
  writer_.reset();
}

TEST_F(StoreLookup, NothingAboveTheVisibleLsnIsSeen) {
  const Key key = page(1, 0);
  add({image(key, 10, "a")});
  put(writer(), {record(key, 20, "b")}, 20);
  EXPECT_EQ(values(reader().chain(key, 20)), "a");
  writer().flush();
  EXPECT_EQ(writer().flushed_lsn(), 10U);
  EXPECT_EQ(values(reader().chain(key, kMaxLsn)), "a");
  writer().publish(20);
  EXPECT_EQ(values(reader().chain(key, 20)), "a b");
  writer().flush();
  EXPECT_EQ(values(reader().chain(key, 20)), "a b");
}

TEST_F(StoreLookup, FirstInAndScanFindEachKeyOnce) {
  add({image(page(1, 1), 10, "a"), image(page(1, 3), 10, "b")});
  writer().flush();
  add({record(page(1, 1), 20, "c"), image(page(1, 2), 20, "d")});
  const auto scan = [&](const Key& first, const Key& last, Lsn at, Lsn floor = kInvalidLsn) {
    std::string result;
    reader().scan(
        first, last, at,
        [&](const Key& key, const Version& version) {
          result += std::to_string(key.block) + std::string(version.value) + " ";
          return true;
        },
        floor);
    return result;
  };
  EXPECT_EQ(scan(page(1, 0), page(1, 9), 20), "1c 2d 3b ");
  EXPECT_EQ(scan(page(1, 0), page(1, 9), 19), "1a 3b ");
  EXPECT_EQ(scan(page(1, 2), page(1, 2), 20), "2d ");
  EXPECT_EQ(scan(page(1, 4), page(1, 9), 20), "");
  EXPECT_EQ(scan(page(1, 9), page(1, 0), 20), "");
  EXPECT_EQ(scan(page(1, 0), page(1, 9), 20, 9), "1c 2d 3b ");
  EXPECT_EQ(scan(page(1, 0), page(1, 9), 20, 10), "1c 2d ");
  EXPECT_EQ(scan(page(1, 0), page(1, 9), 20, 20), "");
  EXPECT_EQ(reader().first_in(page(1, 2), page(1, 9), 19)->first, page(1, 3));
  EXPECT_EQ(reader().first_in(page(1, 2), page(1, 9), 20)->second.value.view(), "d");
  EXPECT_FALSE(reader().first_in(page(1, 4), page(1, 9), 20).has_value());
  EXPECT_FALSE(reader().first_in(page(0, 0), page(9, 9), 9).has_value());
}

TEST_F(StoreLookup, HistoryGoesPastBasesAndItsVisitorMayReadAgain) {
  const Key key = page(1, 0);
  add({image(key, 10, "a")});
  add({record(key, 20, "b")});
  writer().flush();
  add({image(key, 30, "c")});
  std::string seen;
  reader().history(key, 30, 0, [&](const Version& version) {
    seen += version.value;
    put(writer(), {record(page(2, 0), writer().flushed_lsn() + 100, "other")}, writer().flushed_lsn() + 100);
    writer().publish(writer().flushed_lsn() + 100);
    writer().flush();
    EXPECT_EQ(values(reader().chain(key, 20)), "a b");
    return true;
  });
  EXPECT_EQ(seen, "cba");
  seen.clear();
  reader().history(key, 30, 10, [&](const Version& version) {
    seen += version.value;
    return version.lsn != 20;
  });
  EXPECT_EQ(seen, "cb");
}

TEST_F(StoreLookup, ABaselineIsInvisibleUntilFinishedAndIsMadeOnce) {
  writer_ = std::make_unique<Writer>(env_, "store", region_.shared(), StoreOptions{.max_layer_bytes = 4096});
  writer().begin_baseline(100);
  for (std::uint32_t block = 0; block < 1000; ++block) {
    std::string value(200, static_cast<char>(block));
    for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>((block * 2654435761U) >> (i % 25));
    writer().add_baseline(image(page(1, block * 2), 100, value).entry());
  }
  EXPECT_THROW(writer().add_baseline(image(page(1, 0), 100, "x").entry()), StoreError);
  EXPECT_THROW(put(writer(), {record(page(1, 0), 200, "x")}, 200), StoreError);
  EXPECT_TRUE(reader().layers().empty());
  writer().finish_baseline({.lsn = 150, .time = -5});
  EXPECT_GT(writer().layers().size(), 3U);
  EXPECT_EQ(writer().flushed_lsn(), 100U);
  EXPECT_EQ(reader().horizon().lsn, 150U);
  EXPECT_EQ(reader().horizon().time, -5);
  for (std::uint32_t block = 0; block < 2000; ++block) {
    ASSERT_EQ(reader().chain(page(1, block), 100).size(), block % 2 == 0 ? 1U : 0U) << block;
  }
  EXPECT_EQ(reader().chain(page(1, 0), 99).size(), 0U);
  std::size_t count = 0;
  reader().scan(page(0, 0), page(9, 0), 100, [&](const Key&, const Version&) { return ++count != 0; });
  EXPECT_EQ(count, 1000U);
  add({record(page(1, 4), 160, "r")});
  EXPECT_EQ(reader().chain(page(1, 4), 160).size(), 2U);
  EXPECT_THROW(writer().begin_baseline(300), StoreError);
}

TEST_F(StoreLookup, AFullMemtableIsFlushedAndAHugeRecordBecomesALayer) {
  const Key key = page(1, 0);
  Model model;
  for (Lsn lsn = 10; lsn < 3000; lsn += 10) {
    const OwnedEntry one = record(key, lsn, std::string(5000, static_cast<char>('a' + lsn % 26)));
    put(writer(), {one}, lsn);
    model.add(one);
  }
  EXPECT_GE(writer().layers().size(), 2U);
  std::vector<OwnedEntry> huge;
  for (std::uint32_t i = 0; i < 20; ++i) {
    huge.push_back(record(page(1, i % 10), 5000, std::string(100000, static_cast<char>('a' + i))));
    model.add(huge.back());
  }
  put(writer(), huge, 5000);
  EXPECT_EQ(writer().flushed_lsn(), 5000U);
  for (std::uint32_t block = 0; block < 10; ++block) {
    EXPECT_TRUE(equal(reader().chain(page(1, block), kMaxLsn), model.chain(page(1, block), kMaxLsn, 0)));
  }
  add({record(key, 6000, "after")});
  EXPECT_EQ(reader().newest(key, kMaxLsn)->value.view(), "after");
}

TEST_F(StoreLookup, ARecordPutInPartsIsNotCutByAFlush) {
  const Key key = page(1, 0);
  const std::string big(100000, 'x');
  put(writer(), {record(key, 10, "first"), record(page(2, 0), 10, big), record(page(2, 1), 10, big)}, 10);
  put(writer(), {record(key, 20, "a"), record(page(2, 2), 20, big), record(page(2, 3), 20, big)}, 20);
  put(writer(), {record(key, 20, "b"), record(page(2, 4), 20, big), record(page(2, 5), 20, big)}, 20);
  EXPECT_EQ(writer().flushed_lsn(), 10U);
  EXPECT_EQ(values(reader().chain(key, kMaxLsn)), "first");
  writer().publish(20);
  EXPECT_EQ(values(reader().chain(key, kMaxLsn)), "first a b");
  EXPECT_EQ(values(reader().chain(page(2, 2), kMaxLsn)), big);
  writer().flush();
  EXPECT_EQ(values(reader().chain(key, kMaxLsn)), "first a b");
}

TEST_F(StoreLookup, AWriterThatComesAnewDropsTheMemtableAndReadersNoticeIt) {
  const Key key = page(1, 0);
  add({image(key, 10, "a")});
  writer().flush();
  add({record(key, 20, "b")});
  EXPECT_EQ(values(reader().chain(key, 20)), "a b");
  writer_ = std::make_unique<Writer>(env_, "store", region_.shared());
  EXPECT_EQ(region_.shared().visible_lsn(), 10U);
  EXPECT_EQ(values(reader().chain(key, 20)), "a");
  add({record(key, 20, "b")});
  EXPECT_EQ(values(reader().chain(key, 20)), "a b");
}

TEST_F(StoreLookup, AReaderWithoutSharedMemoryReadsTheLayers) {
  const Key key = page(1, 0);
  add({image(key, 10, "a")});
  writer().flush();
  add({record(key, 20, "b")});
  Reader tool(env_, "store", nullptr);
  EXPECT_EQ(values(tool.chain(key, kMaxLsn)), "a");
}

TEST_F(StoreLookup, WrongCallsAreRefused) {
  add({image(page(1, 0), 10, "a")});
  EXPECT_THROW(put(writer(), {record(page(1, 0), 5, "x")}, 5), StoreError);
  EXPECT_THROW(put(writer(), {record(page(1, 0), 10, "x")}, 10), StoreError);
  EXPECT_THROW(put(writer(), {record(page(1, 0), 30, "x")}, 31), StoreError);
  EXPECT_THROW(writer().publish(9), StoreError);
  EXPECT_THROW(writer().begin_baseline(50), StoreError);
  EXPECT_THROW(writer().finish_baseline({}), StoreError);
  EXPECT_THROW(writer().add_baseline({}), StoreError);
  EXPECT_THROW(Reader(env_, "nowhere", nullptr), StoreError);
}

}  // namespace
}  // namespace strata::testing
