// Flushing beside the Writer loses nothing, shows everything at any time, and bounds chains.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <stdexcept>
#include <thread>

#include "store/flusher.h"
#include "store/long_chains.h"
#include "store_fault_env.h"
#include "store_testing.h"
#include "toy_rebuilder.h"

namespace strata::testing {
namespace {

constexpr std::size_t kBound = 8;
constexpr std::uint32_t kMemtableBound = 20;

StoreOptions small() {
  return {
      .value_block_bytes = 1000, .index_block_bytes = 300, .max_layer_bytes = 20000, .memtable_chain = kMemtableBound};
}

// Counts what it is asked for.
class CountingRebuilder : public ToyRebuilder {
 public:
  void begin(const Key& key) override {
    begun.insert(key);
    ToyRebuilder::begin(key);
  }
  std::set<Key> begun;
};

class Flushes : public ::testing::Test {
 protected:
  Flushes() : region_(std::make_unique<Region>(SharedStore::min_size())) {}
  ~Flushes() override {
    flusher_.reset();
    writer_.reset();
  }

  void open_writer() {
    writer_.reset();
    if (!Writer::store_exists(env_, "store"))
      Writer::create_store(env_, "store", {.system_identifier = 1, .timeline = 1});
    writer_ = std::make_unique<Writer>(
        env_, "store", region_->shared(), small(),
        FlusherHooks{.wake = [this] { ++woken_; }, .wait = [this] { on_wait_(); }, .prove = prove_});
  }
  void open_flusher() {
    flusher_.reset();
    FlusherOptions options;
    options.store = small();
    options.bounds.records = options.bounds.statuses = kBound;
    options.pause = [this] {
      if (on_pause_) std::exchange(on_pause_, nullptr)();
    };
    flusher_ = std::make_unique<Flusher>(env_, "store", region_->shared(), rebuilder_, std::move(options));
  }
  void open() {
    open_writer();
    open_flusher();
  }

  void put_record(std::vector<OwnedEntry> entries) {
    end_ += 10;
    for (OwnedEntry& one : entries) one.lsn = end_;
    put(*writer_, entries, end_);
    for (const OwnedEntry& one : entries) model_.add(one);
    history_[end_] = std::move(entries);
    writer_->publish(end_);
  }
  // What a worker that comes anew reads in WAL.
  void put_again() {
    for (const auto& [lsn, entries] : history_) {
      if (lsn > writer_->flushed_lsn()) put(*writer_, entries, lsn);
    }
    if (end_ > region_->shared().visible_lsn()) writer_->publish(end_);
  }
  void put_some(int records) {
    for (int i = 0; i < records; ++i) {
      put_record(
          {record(page(1, static_cast<std::uint32_t>(i % 50)), 0, std::string(40 + i % 7, 'r')),
           image(page(2, static_cast<std::uint32_t>(i % 3)), 0, std::string(60, static_cast<char>('a' + i % 26)))});
    }
  }

  void expect_everything() {
    Reader reader(env_, "store", &region_->shared());
    for (const auto& [key, versions] : model_.versions()) {
      for (const Lsn at : {end_, end_ / 2, end_ / 3}) {
        ASSERT_TRUE(equal(reader.chain(key, at), model_.chain(key, at, kInvalidLsn))) << key.block << " at " << at;
      }
      std::size_t count = 0;
      reader.history(key, end_, kInvalidLsn, [&](const Version&) { return ++count != 0; });
      ASSERT_EQ(count, versions.size()) << key.block;
    }
    const auto newest = model_.newest_in(page(0, 0), page(9, 0), end_);
    std::size_t found = 0;
    reader.scan(page(0, 0), page(9, 0), end_, [&](const Key& key, const Version& version) {
      EXPECT_TRUE(found < newest.size() && key == newest[found].first && equal(version, newest[found].second));
      ++found;
      return true;
    });
    ASSERT_EQ(found, newest.size());
  }
  void expect_only_named_files() {
    std::set<std::string> expected{"MANIFEST"};
    for (const LayerInfo& layer : writer_->layers()) expected.insert(layer.name);
    const auto names = env_.list("store");
    EXPECT_EQ(std::set<std::string>(names.begin(), names.end()), expected);
  }

  FaultEnv env_;
  std::unique_ptr<Region> region_;
  CountingRebuilder rebuilder_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Flusher> flusher_;
  std::function<void()> on_pause_;
  std::function<JoinProof()> prove_;
  std::function<void()> on_wait_ = [] { throw std::logic_error("the Writer waits"); };
  int woken_ = 0;
  Model model_;
  std::map<Lsn, std::vector<OwnedEntry>> history_;
  Lsn end_ = 0;
};

TEST_F(Flushes, AnImmutableMemtableIsReadAlongWithTheOneThatIsFilledUntilItIsALayer) {
  open();
  put_some(60);
  const Lsn frozen_at = end_;
  writer_->start_flush();
  EXPECT_EQ(woken_, 1);
  put_some(60);
  EXPECT_EQ(writer_->flushed_lsn(), kInvalidLsn);
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  ASSERT_TRUE(flusher_->flush());
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  EXPECT_EQ(writer_->flushed_lsn(), kInvalidLsn);
  EXPECT_TRUE(writer_->serve_flusher());
  EXPECT_EQ(writer_->flushed_lsn(), frozen_at);
  EXPECT_EQ(writer_->counters().flushes, 1U);
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  EXPECT_FALSE(flusher_->flush());
  EXPECT_FALSE(writer_->serve_flusher());
  expect_only_named_files();
}

TEST_F(Flushes, WhatIsPutAndNotYetPublishedMovesOnAndIsMetOnce) {
  open();
  put_some(10);
  put(*writer_, {record(page(1, 1), end_ + 10, "not yet published")}, end_ + 10);
  writer_->start_flush();
  EXPECT_EQ(Reader(env_, "store", &region_->shared()).chain(page(1, 1), kMaxLsn).back().lsn, 20U);
  model_.add(record(page(1, 1), end_ + 10, "not yet published"));
  writer_->publish(end_ += 10);
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  ASSERT_TRUE(flusher_->flush());
  ASSERT_TRUE(writer_->serve_flusher());
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  EXPECT_EQ(writer_->layers().front().lsns.end, end_ - 9);
}

TEST_F(Flushes, PutWaitsOnlyWhenBothMemtablesAreInUseAndAddsNothingWhenItMayNot) {
  open();
  while (woken_ == 0) put_some(1);
  const Lsn frozen_at = end_;
  EXPECT_THROW(put_some(10000), std::logic_error);
  EXPECT_EQ(woken_, 1);
  EXPECT_GT(end_, frozen_at + 1000);
  end_ -= 10;
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  on_wait_ = [&] { ASSERT_TRUE(flusher_->flush()); };
  put_some(5);
  EXPECT_EQ(woken_, 2);
  ASSERT_NO_FATAL_FAILURE(expect_everything());
}

TEST_F(Flushes, WhatIsFlushedRisesWithAProofOnly) {
  bool fails = false;
  std::uint32_t proofs = 0;
  prove_ = [&] {
    if (fails) throw StoreError(ErrorKind::kIo, "no WAL");
    ++proofs;
    return JoinProof{.begin = end_ + 1, .end = end_ + 2, .previous = end_, .crc = proofs, .timeline = 1};
  };
  for (const bool beside : {false, true}) {
    open_writer();
    if (beside) open_flusher();
    put_again();
    put_some(20);
    const Lsn flushed = writer_->flushed_lsn();
    const std::uint32_t before = proofs;
    fails = true;
    const auto flush = [&] {
      if (!beside) return writer_->flush();
      writer_->start_flush();
      (void)flusher_->flush();
      (void)writer_->serve_flusher();
    };
    EXPECT_THROW(flush(), StoreError);
    EXPECT_EQ(writer_->flushed_lsn(), flushed);
    fails = false;
    writer_->flush();
    EXPECT_EQ(writer_->flushed_lsn(), end_);
    ASSERT_EQ(proofs, before + 1);
    EXPECT_EQ(writer_->proofs().back().crc, proofs);
    expect_everything();
  }
}

TEST_F(Flushes, WithoutAFlusherTheWriterFlushesItself) {
  open_writer();
  put_some(2000);
  EXPECT_GT(writer_->layers().size(), 1U);
  // One that goes before it has begun.
  open_flusher();
  put_some(10);
  writer_->start_flush();
  const std::uint64_t flushes = writer_->counters().flushes;
  flusher_.reset();
  EXPECT_TRUE(writer_->serve_flusher());
  EXPECT_EQ(writer_->counters().flushes, flushes + 1);
  EXPECT_EQ(writer_->flushed_lsn(), end_);
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  expect_only_named_files();
}

TEST_F(Flushes, AnErrorOfTheFlusherLeavesTheMemtableToTheWriter) {
  open();
  put_some(20);
  writer_->start_flush();
  on_pause_ = [] { throw std::runtime_error("no"); };
  EXPECT_THROW(flusher_->flush(), std::runtime_error);
  expect_only_named_files();
  EXPECT_FALSE(flusher_->flush());
  env_.fail_at(env_.operations() + 1, ErrorKind::kNoSpace);
  EXPECT_THROW(writer_->serve_flusher(), StoreError);
  EXPECT_TRUE(writer_->serve_flusher());
  EXPECT_EQ(writer_->flushed_lsn(), end_);
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  expect_only_named_files();
}

TEST_F(Flushes, FlushWaitsForWhatTheFlusherHasBegun) {
  open();
  put_some(20);
  writer_->start_flush();
  put_some(20);
  int waits = 0;
  on_pause_ = [&] {
    on_wait_ = [&] {
      if (++waits == 3) throw std::logic_error("the Writer waits");
    };
    EXPECT_THROW(writer_->flush(), std::logic_error);
  };
  ASSERT_TRUE(flusher_->flush());
  EXPECT_EQ(waits, 3);
  writer_->flush();
  EXPECT_EQ(writer_->flushed_lsn(), end_);
  EXPECT_EQ(writer_->layers().size(), 2U);
  ASSERT_NO_FATAL_FAILURE(expect_everything());
}

TEST_F(Flushes, ALayerForAWriterThatIsGoneIsRefusedAndItsFileRemoved) {
  open();
  put_some(20);
  writer_->start_flush();
  on_pause_ = [&] {
    open_writer();
    EXPECT_EQ(region_->shared().visible_lsn(), kInvalidLsn);
    put_again();
    ASSERT_NO_FATAL_FAILURE(expect_everything());
  };
  EXPECT_FALSE(flusher_->flush());
  expect_only_named_files();
  EXPECT_TRUE(writer_->layers().empty());
  put_some(20);
  writer_->start_flush();
  ASSERT_TRUE(flusher_->flush());
  // The Writer dies before it has looked.
  open_writer();
  put_again();
  EXPECT_TRUE(writer_->layers().empty());
  EXPECT_FALSE(writer_->serve_flusher());
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  writer_->flush();
  expect_only_named_files();
  ASSERT_NO_FATAL_FAILURE(expect_everything());
}

TEST_F(Flushes, AWriterThatComesAnewLeavesTheMemtableThatIsReadAloneUntilItIsFree) {
  open();
  put_some(20);
  writer_->start_flush();
  on_pause_ = [&] {
    open_writer();
    put_again();
    // The other memtable is full, and this one is not free.
    EXPECT_THROW(put_some(10000), std::logic_error);
    end_ -= 10;
    ASSERT_NO_FATAL_FAILURE(expect_everything());
  };
  EXPECT_FALSE(flusher_->flush());
  on_wait_ = [&] { ASSERT_TRUE(flusher_->flush()); };
  put_some(2000);
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  expect_only_named_files();
}

TEST_F(Flushes, ARecordThatIsLargerThanAMemtableFollowsTheImmutableMemtable) {
  open();
  put_some(20);
  writer_->start_flush();
  put_some(5);
  on_wait_ = [&] { ASSERT_TRUE(flusher_->flush()); };
  put_record({image(page(3, 0), 0, std::string(300000, 'h'))});
  EXPECT_EQ(writer_->flushed_lsn(), end_);
  EXPECT_EQ(writer_->layers().size(), 3U);
  ASSERT_NO_FATAL_FAILURE(expect_everything());
}

TEST_F(Flushes, ACrashOrAFaultAtAnyOperationLosesNothing) {
  for (const bool crash : {true, false}) {
    bool failed = true;
    for (std::uint64_t n = 0; failed; ++n) {
      env_.load({});
      region_ = std::make_unique<Region>(SharedStore::min_size());
      model_ = Model();
      history_.clear();
      end_ = 0;
      open();
      on_wait_ = [&] {
        try {
          flusher_->flush();
        } catch (const StoreError&) {
          // The Writer tries it itself.
        }
      };
      const std::uint64_t begin = env_.operations();
      crash ? env_.crash_at(begin + n) : env_.fail_at(begin + n, ErrorKind::kNoSpace);
      Lsn acknowledged = kInvalidLsn;
      for (int i = 0; i < 12; ++i) {
        try {
          if (i % 3 == 0) put_some(5);
          if (i % 3 == 1) writer_->start_flush();
          if (i % 3 == 1) put_some(5);
          if (i % 3 == 2) flusher_->flush();
          writer_->serve_flusher();
        } catch (const StoreError&) {
          // It is tried again.
        }
        acknowledged = writer_->flushed_lsn();
      }
      failed = env_.operations() > begin + n;
      if (!crash) env_.fail_at(FaultEnv::kNever);
      if (crash) {
        flusher_.reset();
        writer_.reset();
        env_.restart(n % 2 == 0 ? 0.5 : 1.0);
        region_ = std::make_unique<Region>(SharedStore::min_size());
      }
      open();
      ASSERT_GE(writer_->flushed_lsn(), acknowledged) << "operation " << n;
      put_again();
      expect_only_named_files();
      ASSERT_NO_FATAL_FAILURE(expect_everything()) << "operation " << n;
      flusher_.reset();
      writer_.reset();
    }
  }
}

// Everybody at once: one Writer, one Flusher that comes and goes, readers.
TEST_F(Flushes, EveryVisibleVersionIsFoundWhileMemtablesComeAndGo) {
  on_wait_ = [] { std::this_thread::yield(); };
  open_writer();
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> flushes = 0;
  std::vector<std::thread> threads;
  threads.emplace_back([&] {
    ToyRebuilder rebuilder;
    for (int i = 0; !stop; ++i) {
      FlusherOptions options;
      options.store = small();
      std::uint64_t pauses = 0;
      options.pause = [&] {
        if (i % 3 == 2 && ++pauses == 20) throw StoreError(ErrorKind::kIo, "the flusher fails");
      };
      Flusher flusher(env_, "store", region_->shared(), rebuilder, std::move(options));
      for (int n = 0; n < 5 && !stop;) {
        try {
          if (flusher.flush()) {
            ++flushes;
            ++n;
          } else {
            std::this_thread::yield();
          }
        } catch (const StoreError&) {
          break;
        }
      }
    }
  });
  // Record n ends at 10 * n, and changes page n % 5: a base every tenth time.
  const auto entry_of = [](std::uint64_t n) {
    const Key key = page(1, static_cast<std::uint32_t>(n % 5));
    return n / 5 % 10 == 0 ? image(key, n * 10, std::to_string(n)) : record(key, n * 10, std::to_string(n));
  };
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      Reader reader(env_, "store", &region_->shared());
      std::mt19937_64 random(static_cast<unsigned>(t));
      while (!stop) {
        const Lsn visible = region_->shared().visible_lsn();
        if (visible < 1000) continue;
        const Lsn at = visible - random() % 900;
        const auto block = static_cast<std::uint32_t>(random() % 5);
        std::uint64_t n = at / 10;
        while (n % 5 != block) --n;
        const Chain chain = reader.chain(page(1, block), at);
        EXPECT_EQ(chain.size(), n / 5 % 10 + 1) << at;
        for (auto version = chain.rbegin(); version != chain.rend(); ++version, n -= 5) {
          EXPECT_EQ(version->lsn, n * 10);
        }
      }
    });
  }
  for (std::uint64_t n = 1; n < 30000 || flushes < 20; ++n) {
    put(*writer_, {entry_of(n)}, n * 10);
    if (n % 7 == 0) writer_->publish(n * 10);
    if (n % 300 == 0) writer_->start_flush();
    if (n % 5 == 0) writer_->serve_flusher();
    if (n % 1701 == 0) writer_->flush();
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  writer_->flush();
  expect_only_named_files();
}

class Chains : public Flushes {
 protected:
  // What readers rebuild, at each of these LSNs.
  void expect_states(const Key& key, std::size_t longest) {
    Reader reader(env_, "store", &region_->shared());
    for (const Version& version : model_.all(key, end_, kInvalidLsn)) {
      const Chain expected = model_.chain(key, version.lsn, kInvalidLsn);
      const Chain chain = reader.chain(key, version.lsn);
      ASSERT_LE(chain.size(), longest + 1) << "at " << version.lsn;
      ToyRebuilder toy;
      ASSERT_EQ(toy.rebuild(key, chain), toy.rebuild(key, expected)) << "at " << version.lsn;
    }
  }
  void flush() {
    writer_->start_flush();
    ASSERT_TRUE(flusher_->flush());
    ASSERT_TRUE(writer_->serve_flusher());
  }
  void shorten() {
    Reader reader(env_, "store", &region_->shared());
    for (const KeyKind kind : {KeyKind::kPage, KeyKind::kCommitLog}) {
      while (shorten_long_chain(kind, *writer_, reader, rebuilder_)) continue;
    }
  }
};

TEST_F(Chains, ALongChainGetsImagesAndShortOnesAreLeftAlone) {
  open();
  put_record({image(page(1, 0), 0, std::string(kPageBytes, 'p')), image(page(1, 1), 0, std::string(kPageBytes, 'q'))});
  for (std::size_t i = 0; i < kBound; ++i) put_record({record(page(1, 1), 0, "cold" + std::to_string(i))});
  for (int i = 0; i < 100; ++i) put_record({record(page(1, 0), 0, "hot" + std::to_string(i))});
  for (int i = 0; i < 3; ++i) put_record({image(page(1, 2), 0, std::string(2000, 'i'))});
  flush();
  ASSERT_NO_FATAL_FAILURE(expect_states(page(1, 0), kBound));
  ASSERT_NO_FATAL_FAILURE(expect_states(page(1, 1), kBound));
  EXPECT_EQ(rebuilder_.begun, std::set<Key>{page(1, 0)});
  // The base is in an older layer now.
  for (int i = 0; i < 100; ++i) put_record({record(page(1, 0), 0, "again" + std::to_string(i))});
  flush();
  ASSERT_NO_FATAL_FAILURE(expect_states(page(1, 0), kBound));
  EXPECT_EQ(rebuilder_.begun, std::set<Key>{page(1, 0)});
}

TEST_F(Chains, APageThatCannotBeRebuiltStaysAsItIs) {
  open();
  for (int i = 0; i < 50; ++i) put_record({record(page(1, 0), 0, "no base " + std::to_string(i))});
  put_record({image(page(1, 1), 0, std::string(kPageBytes, 'p'))});
  for (int i = 0; i < 50; ++i) put_record({record(page(1, 1), 0, i == 3 ? "broken" : "after it")});
  flush();
  ASSERT_NO_FATAL_FAILURE(expect_everything());
}

TEST_F(Chains, ADamagedOlderLayerDoesNotKeepTheNewerOneFromBeingWritten) {
  open();
  put_record({image(page(1, 0), 0, std::string(kPageBytes, 'p'))});
  flush();
  std::string& content = env_.content("store/" + writer_->layers().front().name);
  for (std::size_t i = 40; i + 150 < content.size(); ++i) content[i] = static_cast<char>(~content[i]);
  for (int i = 0; i < 50; ++i) put_record({record(page(1, 0), 0, "hot" + std::to_string(i))});
  put_record({image(page(1, 1), 0, "other")});
  flush();
  EXPECT_EQ(writer_->layers().size(), 2U);
  Reader reader(env_, "store", &region_->shared());
  EXPECT_THROW(static_cast<void>(reader.chain(page(1, 0), end_)), StoreError);
  EXPECT_EQ(reader.chain(page(1, 0), end_, 10).size(), 50U);
  EXPECT_EQ(reader.chain(page(1, 1), end_).size(), 1U);
}

TEST_F(Chains, AKeyWithMoreVersionsThanMemoryTakesIsRewrittenInParts) {
  open_writer();
  FlusherOptions options;
  options.store = small();
  options.bounds.records = kBound;
  options.memory_bytes = 2000;
  flusher_ = std::make_unique<Flusher>(env_, "store", region_->shared(), rebuilder_, std::move(options));
  put_record({image(page(1, 0), 0, std::string(kPageBytes, 'p'))});
  for (int i = 0; i < 200; ++i) put_record({record(page(1, 0), 0, "hot" + std::to_string(i))});
  flush();
  ASSERT_NO_FATAL_FAILURE(expect_states(page(1, 0), kBound));
}

TEST_F(Chains, TheMemtableGetsImagesToo) {
  const Key statuses{.kind = KeyKind::kCommitLog, .block = 7};
  region_ = std::make_unique<Region>(std::size_t{4} << 20);
  open();
  put_record({image(page(1, 0), 0, std::string(kPageBytes, 'p')), image(statuses, 0, std::string(kPageBytes, 's'))});
  for (int i = 0; i < 400; ++i) {
    const std::string text = std::to_string(i);
    put_record({record(page(1, 0), 0, "one" + text), record(page(1, 0), 0, "two" + text),
                record(statuses, 0, "status" + text), record(page(1, 1), 0, "no base" + text)});
    if (i % 5 == 0) shorten();
    if (i == 150) writer_->start_flush();
  }
  constexpr std::size_t kLongest = kMemtableBound + 10;
  ASSERT_NO_FATAL_FAILURE(expect_states(statuses, kLongest));
  ASSERT_NO_FATAL_FAILURE(expect_states(page(1, 0), kLongest));
  ASSERT_NO_FATAL_FAILURE(expect_states(page(1, 1), 400));
  EXPECT_EQ(rebuilder_.begun, (std::set<Key>{page(1, 0), statuses}));
  ASSERT_TRUE(flusher_->flush());
  ASSERT_TRUE(writer_->serve_flusher());
  flush();
  ASSERT_NO_FATAL_FAILURE(expect_states(statuses, kBound));
  // Versions of one LSN stay together.
  ASSERT_NO_FATAL_FAILURE(expect_states(page(1, 0), kBound + 1));
  ASSERT_NO_FATAL_FAILURE(expect_states(page(1, 1), 400));
}

TEST_F(Chains, ALongChainIsToldOfOnceAndForgottenWithItsMemtable) {
  open();
  put_record({image(page(1, 0), 0, std::string(kPageBytes, 'p'))});
  for (std::uint32_t i = 1; i < kMemtableBound; ++i) put_record({record(page(1, 0), 0, "hot")});
  EXPECT_FALSE(writer_->take_long_chain(KeyKind::kPage));
  put_record({record(page(1, 0), 0, "hot")});
  EXPECT_FALSE(writer_->take_long_chain(KeyKind::kCommitLog));
  EXPECT_EQ(writer_->take_long_chain(KeyKind::kPage), page(1, 0));
  EXPECT_FALSE(writer_->take_long_chain(KeyKind::kPage));
  for (std::uint32_t i = 0; i < kMemtableBound; ++i) put_record({record(page(1, 0), 0, "hot")});
  writer_->start_flush();
  EXPECT_FALSE(writer_->take_long_chain(KeyKind::kPage));
}

TEST_F(Chains, AnImageGoesOnlyBehindTheNewestVersionOfTheMemtableThatIsFilled) {
  const std::string content(kPageBytes, 'c');
  open();
  put_record({image(page(1, 0), 0, "begin")});
  put_record({record(page(1, 0), 0, "end")});
  EXPECT_FALSE(writer_->put_image(page(1, 0), end_ - 10, content));
  EXPECT_FALSE(writer_->put_image(page(1, 1), end_, content));
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  EXPECT_TRUE(writer_->put_image(page(1, 0), end_, content));
  const Chain chain = Reader(env_, "store", &region_->shared()).chain(page(1, 0), end_);
  ASSERT_EQ(chain.size(), 1U);
  EXPECT_EQ(chain.front().value, content);
  writer_->start_flush();
  EXPECT_FALSE(writer_->put_image(page(1, 0), end_, content));
  while (region_->shared().memtable(1).free_bytes() > 2 * kPageBytes &&
         region_->shared().memtable(0).free_bytes() > 2 * kPageBytes) {
    put_record({record(page(1, 1), 0, std::string(kPageBytes, 'f'))});
  }
  put_record({record(page(1, 1), 0, std::string(kPageBytes, 'f'))});
  EXPECT_FALSE(writer_->put_image(page(1, 1), end_, content));
}

TEST_F(Chains, NoImageIsMadeOfWhatATruncationEndedOrOfADamagedChain) {
  open();
  put_record({image(page(1, 0), 0, std::string(kPageBytes, 'p')), image(page(1, 1), 0, std::string(kPageBytes, 'q'))});
  Key truncation = page(1, 0);
  truncation.kind = KeyKind::kTruncation;
  put_record({{.key = truncation, .lsn = 0, .type = EntryType::kValue, .base = true, .value = std::string(4, '\0')}});
  const Lsn truncated = end_;
  for (std::uint32_t i = 0; i < 3 * kMemtableBound; ++i) {
    put_record({record(page(1, 0), 0, "grown again"), record(page(1, 1), 0, i == 3 ? "broken" : "after it")});
  }
  shorten();
  Reader reader(env_, "store", &region_->shared());
  for (const Key& key : {page(1, 0), page(1, 1)}) {
    EXPECT_EQ(reader.chain(key, end_, truncated).size(), 3 * kMemtableBound) << key.block;
  }
  ASSERT_NO_FATAL_FAILURE(expect_everything());
}

}  // namespace
}  // namespace strata::testing
