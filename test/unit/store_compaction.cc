// Merging layers changes no answer.
#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "compacted_store.h"
#include "store/merge_plan.h"
#include "store/page_diff.h"

namespace strata::testing {
namespace {

class Compaction : public CompactedStore {
 protected:
  Compaction() : CompactedStore(20000, 10000) {}

  void take_baseline() {
    end_ = 100;
    writer_->begin_baseline(end_);
    for (std::uint32_t block = 0; block < 6; ++block) {
      const OwnedEntry one = image(page(1, block), end_, random_page(random_));
      writer_->add_baseline(one.entry());
      model_.add(one);
    }
    writer_->finish_baseline({.lsn = end_, .time = 0});
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
    for (const auto& [lsn, blocks] : truncations_[key.relation]) {
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
          entries.push_back(image(key, end_, random_page(random_)));
          break;
        case 1:
          // Of a copied database: the base is elsewhere.
          if (known || below(2) == 0) entries.push_back(record(key, end_, random_text(1 + below(40))));
          break;
        case 2:
        case 3:
          entries.push_back(image(key, end_, nearly(key)));
          break;
        case 4:
          entries.push_back(record(key, end_, random_text(1 + below(3000))));
          break;
        default:
          entries.push_back(record(key, end_, random_text(1 + below(60))));
          break;
      }
    }
    if (below(40) == 0) {
      const auto relation = 1 + static_cast<std::uint32_t>(below(2));
      const auto blocks = static_cast<std::uint32_t>(below(6));
      Key key = page(relation, 0);
      key.kind = KeyKind::kTruncation;
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
    for (const auto& [relation, blocks] : pending_resets_) truncations_[relation].emplace_back(end_, blocks);
    pending_resets_.clear();
    writer_->publish(end_);
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

  Model model_;
  std::map<std::uint32_t, std::vector<std::pair<Lsn, std::uint32_t>>> truncations_;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> pending_resets_;
};

TEST_P(Compaction, WhatIsNotUrgentMayBeBrokenOff) {
  struct LoadIsBack {};
  bool load = true;
  compactor_options_.pause = [&] {
    if (load && compactor_->is_idle_merge()) throw LoadIsBack();
  };
  compactor_options_.flushed_fan_in = compactor_options_.fan_in = 100;
  compactor_options_.max_inputs = 100;
  open();
  take_baseline();
  open_compactor();
  for (int flushes = 0; flushes < 2; ++flushes) {
    for (int i = 0; i < 50; ++i) put_record();
    writer_->flush();
  }
  ASSERT_FALSE(compactor_->merge(false).has_value());
  EXPECT_THROW((void)compactor_->merge(true), LoadIsBack);
  EXPECT_EQ(files_in(env_, "store"), files_of(*writer_));
  EXPECT_EQ(region_->shared().merge_floor(), 0U);
  check(end_);

  load = false;
  ASSERT_TRUE(compactor_->merge(true).has_value());
  EXPECT_TRUE(writer_->serve_compactor());
  EXPECT_FALSE(compactor_->merge(false).has_value());
  EXPECT_FALSE(compactor_->is_idle_merge());
  check(end_);
}

TEST_P(Compaction, ChangesNoAnswer) {
  open();
  take_baseline();
  open_compactor();
  ChainRewriter::Counters counters;
  int merges = 0;
  int levels = 0;
  for (int step = 0; step < 1000; ++step) {
    put_record();
    disturb(60);
    if (below(4) == 0) {
      if (const auto result = compactor_->merge(below(4) == 0)) {
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
  EXPECT_EQ(files_in(env_, "store"), files_of(*writer_));
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
  const Files before = shut_down();
  const Lsn end = end_;
  const Model model = model_;
  const auto truncations = truncations_;
  const auto work = [&] {
    (void)compactor_->merge();
    writer_->serve_compactor();
    // Refused merges are tried again, the obsolete files of late readers go with the next call.
    (void)compactor_->merge();
    writer_->serve_compactor();
  };
  fail_at_every_operation(before, work, [&](bool server_too) {
    end_ = end;
    model_ = model;
    truncations_ = truncations;
    if (!server_too) {
      // An edit whose fate was open is settled by the next one.
      put_record();
      writer_->flush();
      writer_->serve_compactor();
    }
    for (Lsn at = 100; at <= end_; at += 15) ASSERT_NO_FATAL_FAILURE(check(at));
  });
}

INSTANTIATE_TEST_SUITE_P(Seeds, CompactionCrash, ::testing::Range(1U, 2U));

// Runs of deltas from the newest to the oldest: level and bytes of each.
using RunSizes = std::vector<std::pair<int, std::uint64_t>>;

std::optional<MergePlan> plan_idle(const RunSizes& newest_first, std::size_t max_inputs = 99, Lsn excluded = 0) {
  ManifestState state;
  Lsn end = 1000;
  for (const auto& [level, bytes] : newest_first) {
    Layer layer{.number = end, .info = {}};
    layer.info.level = level;
    layer.info.bytes = bytes;
    layer.info.lsns = {.begin = end - 10, .end = end};
    state.layers.emplace(layer.number, layer);
    end -= 10;
  }
  return plan_idle_merge(state, max_inputs, [&](LsnRange lsns) { return lsns.begin == excluded; });
}

TEST(IdleMerge, TakesTheNewestRunsOfAllLevelsUpToOneThatOutweighsThem) {
  const auto plan = plan_idle({{0, 1}, {0, 5}, {1, 6}, {1, 20}, {2, 64}, {2, 300}});
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->runs.size(), 5U);
  EXPECT_EQ(plan->level, 2);
  EXPECT_EQ(plan->lsns, (LsnRange{.begin = 950, .end = 1000}));
  EXPECT_EQ(plan->runs.front().front().info.lsns.end, 1000U);
  EXPECT_FALSE(plan_idle({{0, 1}, {1, 3}}).has_value());
  EXPECT_FALSE(plan_idle({{2, 100}}).has_value());
  EXPECT_FALSE(plan_idle({}).has_value());
}

TEST(IdleMerge, KeepsLevelsInTheOrderOfAge) {
  EXPECT_EQ(plan_idle({{0, 5}, {0, 5}})->level, 1);
  EXPECT_EQ(plan_idle({{0, 5}, {1, 5}})->level, 1);
  EXPECT_EQ(plan_idle({{1, 5}, {1, 5}})->level, 2);
  EXPECT_EQ(plan_idle({{1, 5}, {1, 5}, {1, 50}})->level, 1);
  EXPECT_EQ(plan_idle({{255, 5}, {255, 5}})->level, 255);
  EXPECT_FALSE(plan_idle({{0, 5}, {0, 5}, {0, 50}}).has_value());
}

TEST(IdleMerge, GoesNoFurtherThanItMay) {
  EXPECT_EQ(plan_idle({{0, 5}, {0, 5}, {1, 5}, {1, 5}}, 3)->runs.size(), 3U);
  EXPECT_EQ(plan_idle({{0, 5}, {0, 5}, {1, 5}, {1, 5}}, 99, 970)->runs.size(), 2U);
  EXPECT_FALSE(plan_idle({{0, 5}, {0, 5}}, 99, 990).has_value());
}

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
