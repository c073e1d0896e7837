// Merging layers changes no answer.
#include <gtest/gtest.h>

#include <set>

#include "store/compactor.h"
#include "store/page_diff.h"
#include "store_fault_env.h"
#include "store_testing.h"
#include "toy_rebuilder.h"

namespace strata::testing {
namespace {

StoreOptions small() { return {.value_block_bytes = 4000, .index_block_bytes = 300, .max_layer_bytes = 20000}; }

CompactorOptions compactor_options() {
  CompactorOptions options;
  options.store = small();
  options.bounds = {.records = 8, .bytes = 20000, .statuses = 8, .diff_bytes = 1000, .min_value_bytes = 200};
  options.fan_in = 3;
  options.max_inputs = 5;
  options.layer_bytes = 10000;
  options.memory_bytes = 200000;
  options.samples = 10;
  return options;
}

class Compaction : public ::testing::TestWithParam<unsigned> {
 protected:
  Compaction() : random_(GetParam()) {}

  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  void open() {
    writer_.reset();
    if (!Writer::store_exists(env_, "store"))
      Writer::create_store(env_, "store", {.system_identifier = 1, .timeline = 1});
    writer_ = std::make_unique<Writer>(env_, "store", region_->shared(), small());
  }
  void open_compactor() {
    compactor_.reset();
    compactor_ = std::make_unique<Compactor>(env_, "store", region_->shared(), rebuilder_, compactor_options());
  }

  void take_baseline() {
    end_ = 100;
    writer_->begin_baseline(end_);
    for (std::uint32_t block = 0; block < 6; ++block) {
      const OwnedEntry one = image(page(1, block), end_, random_page());
      writer_->add_baseline(one.entry());
      model_.add(one);
    }
    writer_->finish_baseline({.lsn = end_, .time = 0});
  }

  std::string random_page() {
    std::string value(kPageBytes, '\0');
    for (char& c : value) c = static_cast<char>(random_());
    return value;
  }
  std::string random_value(std::size_t size) {
    std::string value(size, '\0');
    for (char& c : value) c = static_cast<char>('a' + below(20));
    return value;
  }

  // What a page image after hint bits looks like.
  std::string nearly(const Key& key) {
    const Chain chain = model_.chain(key, end_ - 1, floor_of(key, end_ - 1));
    std::string value = rebuilder_.rebuild(key, chain);
    for (std::uint64_t n = below(30); n > 0; --n) value[below(value.size())] = static_cast<char>(random_());
    return value;
  }

  Lsn floor_of(const Key& key, Lsn at) {
    Lsn floor = kInvalidLsn;
    for (const auto& [lsn, blocks] : resets_[key.relation]) {
      if (lsn <= at && blocks <= key.block) floor = std::max(floor, lsn);
    }
    return floor;
  }

  void put_record() {
    end_ += 1 + below(5);
    std::vector<OwnedEntry> entries;
    for (std::uint64_t n = below(4); n > 0; --n) {
      const Key key = page(1 + static_cast<std::uint32_t>(below(2)), static_cast<std::uint32_t>(below(6)));
      const Chain chain = model_.chain(key, end_ - 1, floor_of(key, end_ - 1));
      const bool known = !chain.empty() && chain.front().base;
      switch (below(known ? 8 : 2)) {
        case 0:
          entries.push_back(image(key, end_, random_page()));
          break;
        case 1:
          // Of a copied database: the base is elsewhere.
          if (known || below(2) == 0) entries.push_back(record(key, end_, random_value(1 + below(40))));
          break;
        case 2:
        case 3:
          entries.push_back(image(key, end_, nearly(key)));
          break;
        case 4:
          entries.push_back(record(key, end_, random_value(1 + below(3000))));
          break;
        default:
          entries.push_back(record(key, end_, random_value(1 + below(60))));
          break;
      }
    }
    if (below(40) == 0) {
      const auto relation = 1 + static_cast<std::uint32_t>(below(2));
      const auto blocks = static_cast<std::uint32_t>(below(6));
      Key key = page(relation, 0);
      key.kind = KeyKind::kRelationReset;
      entries.push_back({.key = key,
                         .lsn = end_,
                         .type = EntryType::kValue,
                         .base = true,
                         .value = std::string(reinterpret_cast<const char*>(&blocks), sizeof blocks)});
      pending_resets_.push_back({relation, blocks});
    }
    put(*writer_, entries, end_);
    for (const OwnedEntry& one : entries) {
      model_.add(one);
      unflushed_.push_back(one);
    }
    for (const auto& [relation, blocks] : pending_resets_) resets_[relation].emplace_back(end_, blocks);
    pending_resets_.clear();
    writer_->publish(end_);
  }

  void put_again() {
    std::map<Lsn, std::vector<OwnedEntry>> again;
    for (const OwnedEntry& one : unflushed_) {
      if (one.lsn > writer_->flushed_lsn()) again[one.lsn].push_back(one);
    }
    for (const auto& [lsn, entries] : again) put(*writer_, entries, lsn);
    if (end_ > region_->shared().visible_lsn()) writer_->publish(end_);
  }

  void check(Lsn at) {
    Reader reader(env_, "store", &region_->shared(), {.cache_bytes = 1 << 16});
    for (const auto& [key, versions] : model_.versions()) {
      if (key.kind != KeyKind::kPage) continue;
      const Lsn floor = floor_of(key, at);
      const Chain expected = model_.chain(key, at, floor);
      const Chain found = reader.chain(key, at, floor);
      ASSERT_EQ(found.empty(), expected.empty()) << key.relation << "/" << key.block << " at " << at;
      if (expected.empty()) continue;
      ASSERT_EQ(found.front().base, expected.front().base) << key.relation << "/" << key.block << " at " << at;
      ASSERT_TRUE(rebuilder_.rebuild(key, found) == rebuilder_.rebuild(key, expected))
          << key.relation << "/" << key.block << " at " << at;
    }
  }

  std::mt19937_64 random_;
  FaultEnv env_;
  std::unique_ptr<Region> region_ = std::make_unique<Region>(std::size_t{1} << 18);
  ToyRebuilder rebuilder_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Compactor> compactor_;
  Model model_;
  std::map<std::uint32_t, std::vector<std::pair<Lsn, std::uint32_t>>> resets_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pending_resets_;
  std::vector<OwnedEntry> unflushed_;
  Lsn end_ = kInvalidLsn;
};

TEST_P(Compaction, ChangesNoAnswer) {
  open();
  take_baseline();
  open_compactor();
  ChainRewriter::Counters counters;
  int merges = 0;
  int levels = 0;
  for (int step = 0; step < 1000; ++step) {
    put_record();
    switch (below(60)) {
      case 0:
      case 1:
        writer_->flush();
        break;
      case 2:
        open();
        put_again();
        break;
      case 3:
        open_compactor();
        break;
      default:
        break;
    }
    if (below(4) == 0) {
      if (const auto result = compactor_->merge()) {
        ++merges;
        levels = std::max(levels, result->level);
        counters.diffs += result->chains.diffs;
        counters.images += result->chains.images;
      }
    }
    if (below(10) == 0) writer_->serve_compactor();
    if (step % 10 == 0) {
      ASSERT_NO_FATAL_FAILURE(check(100 + below(end_ - 99))) << "step " << step;
    }
  }
  writer_->flush();
  for (int i = 0; i < 20; ++i) {
    if (compactor_->merge()) ++merges;
    writer_->serve_compactor();
  }
  EXPECT_GT(merges, 2);
  EXPECT_GT(levels, 1);
  EXPECT_GT(counters.diffs, 20U);
  EXPECT_GT(counters.images, 20U);
  std::map<int, std::set<Lsn>> runs;
  for (const LayerInfo& layer : writer_->layers()) {
    if (!layer.image) runs[layer.level].insert(layer.lsns.begin);
  }
  for (const auto& [level, begins] : runs) EXPECT_LT(begins.size(), 3U) << "level " << level;
  for (Lsn at = 100; at <= end_; at += 7) ASSERT_NO_FATAL_FAILURE(check(at));
  // No chain is longer than its bound, as far as it has a base and has been merged.
  Reader reader(env_, "store", &region_->shared());
  Lsn merged = kMaxLsn;
  if (runs.contains(0)) merged = *runs[0].begin();
  for (const auto& [key, versions] : model_.versions()) {
    if (key.kind != KeyKind::kPage) continue;
    for (const Version& version : versions) {
      if (version.lsn >= merged) continue;
      const Chain chain = reader.chain(key, version.lsn, floor_of(key, version.lsn));
      if (!chain.empty() && chain.front().base) {
        ASSERT_LE(chain.size(), 9U);
      }
    }
  }
  std::set<std::string> expected{"MANIFEST"};
  for (const LayerInfo& layer : writer_->layers()) expected.insert(layer.name);
  const auto names = env_.list("store");
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()), expected);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Compaction, ::testing::Range(1U, 7U));

class CompactionCrash : public Compaction {};

TEST_P(CompactionCrash, AtAnyOperationLosesNothingAndLeavesNoFile) {
  open();
  take_baseline();
  for (int layer = 0; layer < 4; ++layer) {
    for (int i = 0; i < 6; ++i) put_record();
    writer_->flush();
  }
  env_.restart();
  const auto before = env_.save();
  const Lsn end = end_;
  const Model model = model_;
  const auto resets = resets_;
  bool crashed = true;
  for (std::uint64_t n = 0; crashed; ++n) {
    for (const bool server_too : {true, false}) {
      writer_.reset();
      compactor_.reset();
      env_.load(before);
      end_ = end;
      model_ = model;
      resets_ = resets;
      region_ = std::make_unique<Region>(std::size_t{1} << 18);
      open();
      open_compactor();
      const std::uint64_t begin = env_.operations();
      if (server_too) {
        env_.crash_at(begin + n);
      } else {
        env_.fail_at(begin + n, ErrorKind::kNoSpace);
      }
      const auto once = [&] {
        try {
          (void)compactor_->merge();
          writer_->serve_compactor();
          // Refused merges are tried again, the garbage of late readers goes with the next call.
          (void)compactor_->merge();
          writer_->serve_compactor();
          return true;
        } catch (const StoreError&) {
          return false;
        }
      };
      (void)once();
      crashed = env_.operations() > begin + n;
      if (!server_too) {
        env_.fail_at(FaultEnv::kNever);
        for (int i = 0; i < 3; ++i) {
          ASSERT_TRUE(once());
        }
        // An edit whose fate was open is settled by the next one.
        put_record();
        writer_->flush();
        writer_->serve_compactor();
      }
      if (server_too) {
        env_.restart(n % 2 == 0 ? 0 : 0.5);
        writer_.reset();
        compactor_.reset();
        region_ = std::make_unique<Region>(std::size_t{1} << 18);
        open();
      }
      for (Lsn at = 100; at <= end_; at += 15) ASSERT_NO_FATAL_FAILURE(check(at)) << "operation " << n;
      std::set<std::string> expected{"MANIFEST"};
      for (const LayerInfo& layer : writer_->layers()) expected.insert(layer.name);
      const auto list = env_.list("store");
      std::set<std::string> names(list.begin(), list.end());
      // Whether this file is there means nothing to a writer that goes on.
      if (!server_too) names.erase("MERGE");
      ASSERT_EQ(names, expected) << "operation " << n << (server_too ? ", a crash" : ", a fault");
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, CompactionCrash, ::testing::Range(1U, 2U));

TEST(PageDiff, IsShortWhereTuplesHaveMoved) {
  std::mt19937 random(1);
  std::string before(kPageBytes, '\0');
  for (char& byte : before) byte = static_cast<char>(random());
  std::string after = before;
  // A tuple of 128 bytes goes, and those in front of it close up.
  after.replace(2048 + 128, 4096, before.substr(2048, 4096));
  after.replace(2048, 128, std::string(128, '\0'));
  const auto diff = make_page_diff(before, after, 2000);
  ASSERT_TRUE(diff);
  EXPECT_LT(diff->size(), 160U);
  ASSERT_TRUE(apply_page_diff(*diff, before));
  EXPECT_TRUE(before == after);
}

TEST(PageDiff, MakesTheLaterPageOutOfTheEarlier) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string before(kPageBytes, '\0');
    for (std::size_t i = 0; i < before.size(); i += 1 + random() % 50) before[i] = static_cast<char>(random());
    std::string after = before;
    for (unsigned n = random() % 20; n > 0; --n) {
      const std::size_t at = random() % after.size();
      for (std::size_t i = at; i < std::min(after.size(), at + random() % 40); ++i)
        after[i] = static_cast<char>(random());
    }
    for (unsigned n = random() % 3; n > 0; --n) {
      const std::size_t from = random() % (after.size() - 2000) / 8 * 8;
      const std::size_t to = random() % (after.size() - 2000) / 8 * 8;
      after.replace(to, 2000, before.substr(from, 2000));
    }
    const auto diff = make_page_diff(before, after, 4000);
    ASSERT_TRUE(diff);
    ASSERT_TRUE(apply_page_diff(*diff, before));
    ASSERT_TRUE(before == after);
    std::string damaged = *diff;
    if (!damaged.empty()) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
      (void)apply_page_diff(damaged, before);
      damaged.pop_back();
      (void)apply_page_diff(damaged, before);
    }
  }
}

}  // namespace
}  // namespace strata::testing
