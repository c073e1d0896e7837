// Garbage collection takes away what is older than the horizon, and changes no answer at or above it.
#include <gtest/gtest.h>

#include <set>

#include "compacted_store.h"
#include "eyes.h"
#include "store/gc_plan.h"

namespace strata::testing {
namespace {

StoreOptions small() { return small_layers(30000); }

constexpr Lsn kRedo = 100;

// A store, and one with the same history whose garbage is never collected.
class Retention : public CompactedStore {
 protected:
  Retention() : CompactedStore(30000, 20000) {
    Writer::create_store(whole_env_, "store", {.system_identifier = 1, .timeline = 1});
    whole_ = std::make_unique<Writer>(whole_env_, "store", whole_region_->shared(), small());
    open();
    for (Writer* writer : {whole_.get(), writer_.get()}) writer->begin_baseline(kRedo);
    std::vector<OwnedEntry> baseline;
    for (std::uint32_t relation = 1; relation <= 3; ++relation) {
      sizes_[5][relation] = 6;
      for (std::uint32_t block = 0; block < 6; ++block) {
        baseline.push_back(image(page_of(5, relation, block), kRedo, sparse_page()));
      }
    }
    for (std::uint32_t relation = 1; relation <= 3; ++relation) {
      baseline.push_back(value(with_kind(page_of(5, relation, 0), KeyKind::kRelationSize), kRedo, u32(6)));
    }
    baseline.push_back(image({.kind = KeyKind::kCommitLog}, kRedo, sparse_page()));
    baseline.push_back(value(map_key(5), kRedo, "map of 5"));
    baseline.push_back(value({.kind = KeyKind::kCheckpoint}, kRedo, "first"));
    for (const OwnedEntry& one : baseline) {
      keys_.insert(one.key);
      for (Writer* writer : {whole_.get(), writer_.get()}) writer->add_baseline(one.entry());
    }
    for (Writer* writer : {whole_.get(), writer_.get()}) writer->finish_baseline({.lsn = kRedo, .time = 0});
    horizon_ = end_ = kRedo;
    open_compactor();
  }

  static Key map_key(std::uint32_t database) {
    return {.kind = KeyKind::kRelationMap, .tablespace = kTablespace, .database = database};
  }

  std::string sparse_page() {
    std::string bytes(kPageBytes, '\0');
    for (std::size_t i = 0; i < bytes.size(); i += 1 + below(200)) bytes[i] = static_cast<char>(random_());
    return bytes;
  }
  std::string random_record() { return random_text(1 + below(100)); }

  void change_page(std::uint32_t database, std::uint32_t relation, std::vector<OwnedEntry>& out) {
    std::uint32_t& size = sizes_[database][relation];
    const auto block = static_cast<std::uint32_t>(below(std::min<std::uint32_t>(size + 1, 9)));
    const Key key = page_of(database, relation, block);
    if (block >= size) {
      size = block + 1;
      out.push_back({.key = key, .lsn = end_, .type = EntryType::kRecord, .base = true, .value = random_record()});
      out.push_back(value(with_kind(key, KeyKind::kRelationSize), end_, u32(size)));
    } else if (below(6) == 0) {
      out.push_back(image(key, end_, sparse_page()));
    } else {
      out.push_back(record(key, end_, below(150) == 0 ? "broken" : random_record()));
    }
  }

  void resize(std::uint32_t database, std::uint32_t relation, std::uint32_t blocks, bool drop,
              std::vector<OwnedEntry>& out) {
    const Key key = page_of(database, relation, 0);
    out.push_back(value(with_kind(key, KeyKind::kRelationSize), end_, drop ? "" : u32(blocks)));
    out.push_back(value(with_kind(key, KeyKind::kTruncation), end_, u32(blocks)));
    sizes_[database].erase(relation);
    if (!drop) sizes_[database][relation] = blocks;
  }

  std::vector<OwnedEntry> random_record_entries() {
    std::vector<OwnedEntry> out;
    const auto database = static_cast<std::uint32_t>(5 + below(3));
    const auto relation = static_cast<std::uint32_t>(1 + below(3));
    auto& sizes = sizes_[database];
    const bool exists = sizes.contains(relation);
    switch (below(24)) {
      case 0:
        if (exists) {
          resize(database, relation, static_cast<std::uint32_t>(below(sizes[relation] + 1)), false, out);
        }
        break;
      case 1:
        if (exists) resize(database, relation, 0, true, out);
        break;
      case 2:
      case 3:
        if (!exists && (database == 5 || sizes_.contains(database))) resize(database, relation, 0, false, out);
        break;
      case 4:
        out.push_back({.key = {.kind = KeyKind::kCommitLog, .block = static_cast<std::uint32_t>(below(2))},
                       .lsn = end_,
                       .type = EntryType::kXidStatus,
                       .base = false,
                       .value = random_record()});
        break;
      case 5:
        out.push_back(value({.kind = KeyKind::kCheckpoint}, end_, random_record()));
        out.push_back(value({.kind = KeyKind::kNextXid}, end_, random_record()));
        out.push_back(value({.kind = KeyKind::kMultiXact, .block = next_multi_++}, end_, random_record()));
        break;
      case 6:
      case 7:
      case 8:
        time_ += static_cast<std::uint32_t>(1 + below(5));
        out.push_back(value({.kind = KeyKind::kTimeMark, .database = time_}, end_, std::to_string(end_ - 1)));
        break;
      case 9:
        // A database is copied from another one, created empty or dropped.
        if (database != 5 && below(2) == 0) {
          const auto source = static_cast<std::uint32_t>(5 + below(3));
          if (source == database) break;
          switch (below(3)) {
            case 0:
              out.push_back(value(database_key(database), end_, u32(kTablespace) + u32(source)));
              out.push_back(value(map_key(database), end_, "map " + std::to_string(end_)));
              sizes_[database] = sizes_[source];
              break;
            case 1:
              out.push_back(value(database_key(database), end_, ""));
              out.push_back(value(map_key(database), end_, "map " + std::to_string(end_)));
              sizes_[database] = {};
              break;
            default:
              out.push_back(value(database_key(database), end_, ""));
              sizes_.erase(database);
              break;
          }
        } else if (database == 5) {
          out.push_back(value(map_key(database), end_, "map " + std::to_string(end_)));
        }
        break;
      default:
        if (exists) change_page(database, relation, out);
        break;
    }
    return out;
  }

  void put_record() {
    end_ += 1 + below(4);
    const std::vector<OwnedEntry> entries = random_record_entries();
    for (const OwnedEntry& one : entries) {
      keys_.insert(one.key);
      unflushed_.push_back(one);
    }
    // A copied database has keys that nobody has put.
    for (const auto& [database, relations] : sizes_) {
      for (const auto& [relation, blocks] : relations) {
        for (std::uint32_t block = 0; block < blocks; ++block) keys_.insert(page_of(database, relation, block));
        keys_.insert(with_kind(page_of(database, relation, 0), KeyKind::kRelationSize));
      }
    }
    for (Writer* writer : {whole_.get(), writer_.get()}) {
      put(*writer, entries, end_);
      writer->publish(end_);
    }
  }

  std::uint32_t last_time_at(Lsn lsn) {
    std::uint32_t time = 0;
    Reader whole(whole_env_, "store", &whole_region_->shared());
    const Key last{.kind = KeyKind::kTimeMark, .tablespace = ~0U, .database = ~0U};
    whole.scan({.kind = KeyKind::kTimeMark}, last, lsn, [&](const Key& key, const Version&) {
      time = key.database;
      return true;
    });
    return time;
  }

  std::optional<GcResult> collect_garbage(Lsn cutoff, Lsn horizon) {
    const std::uint32_t oldest_multi =
        oldest_multi_ + static_cast<std::uint32_t>(below(next_multi_ - oldest_multi_ + 1));
    auto result = compactor_->collect_garbage(cutoff, {.lsn = horizon, .time = 0}, oldest_multi);
    if (result) {
      oldest_multi_ = oldest_multi;
      horizon_ = std::max(horizon_, horizon);
      cutoff_ = result->cutoff;
      horizon_time_ = last_time_at(horizon_);
    }
    return result;
  }

  void check(Lsn at) {
    Reader reader(env_, "store", &region_->shared(), {.cache_bytes = 1 << 16});
    Reader whole(whole_env_, "store", &whole_region_->shared());
    Eyes eyes(reader);
    Eyes expected(whole);
    for (const Key& key : keys_) {
      switch (key.kind) {
        case KeyKind::kTimeMark:
          if (at >= cutoff_ && key.database >= horizon_time_) {
            ASSERT_EQ(eyes.moment(key.database, at), expected.moment(key.database, at)) << at;
          }
          break;
        case KeyKind::kTruncation:
        case KeyKind::kDatabase:
          break;
        case KeyKind::kMultiXact:
          if (OldMultixacts(oldest_multi_).contains(key)) break;
          [[fallthrough]];
        default:
          ASSERT_TRUE(eyes.any(key, at) == expected.any(key, at))
              << "kind " << static_cast<int>(key.kind) << ' ' << key.database << '/' << key.relation << '/' << key.block
              << " at " << at << ", cutoff " << cutoff_;
      }
    }
  }

  // After everything at or below the cutoff has been collected.
  void check_nothing_old_is_left() {
    for (const LayerInfo& layer : writer_->layers()) {
      if (!layer.image) {
        EXPECT_GT(layer.lsns.begin, cutoff_);
      }
    }
    Reader reader(env_, "store", &region_->shared());
    Reader whole(whole_env_, "store", &whole_region_->shared());
    Eyes expected(whole);
    std::size_t marks = 0;
    reader.scan({.kind = KeyKind::kPage}, {.kind = static_cast<KeyKind>(255)}, cutoff_,
                [&](const Key& key, const Version& version) {
                  EXPECT_TRUE(version.base);
                  EXPECT_NE(static_cast<int>(key.kind), static_cast<int>(KeyKind::kTruncation));
                  if (key.kind == KeyKind::kTimeMark) ++marks;
                  EXPECT_FALSE(OldMultixacts(oldest_multi_).contains(key)) << key.block;
                  if (key.kind == KeyKind::kDatabase) {
                    EXPECT_TRUE(version.value.empty());
                    EXPECT_NE(expected.any(map_key(key.database), cutoff_), "nothing")
                        << key.database << " was dropped";
                  }
                  if (key.kind == KeyKind::kPage) {
                    EXPECT_NE(expected.page(key, cutoff_), "nothing") << key.database << '/' << key.relation;
                  }
                  if (key.kind == KeyKind::kRelationSize) {
                    EXPECT_NE(expected.size(key, cutoff_), "gone");
                  }
                  int versions = 0;
                  reader.history(key, cutoff_, kInvalidLsn, [&](const Version&) {
                    ++versions;
                    return true;
                  });
                  EXPECT_EQ(versions, 1);
                  return true;
                });
    EXPECT_LE(marks, 1U);
  }

  FaultEnv whole_env_;
  std::unique_ptr<Region> whole_region_ = std::make_unique<Region>(std::size_t{1} << 22);
  std::unique_ptr<Writer> whole_;
  std::map<std::uint32_t, std::map<std::uint32_t, std::uint32_t>> sizes_;  // database -> relation -> blocks
  std::set<Key> keys_;
  std::uint32_t next_multi_ = ~std::uint32_t{0} - 7;  // begins anew soon
  std::uint32_t oldest_multi_ = next_multi_;
  std::uint32_t time_ = 1;
  std::uint32_t horizon_time_ = 0;
  Lsn horizon_ = kInvalidLsn;
  Lsn cutoff_ = kInvalidLsn;
};

TEST_P(Retention, ChangesNoAnswerAtOrAboveTheCutoff) {
  int collections = 0;
  int splits = 0;
  for (int step = 0; step < 900; ++step) {
    put_record();
    disturb(50);
    if (below(10) == 0) (void)compactor_->merge();
    const Lsn flushed = writer_->flushed_lsn();
    if (below(30) == 0 && flushed > horizon_) {
      const Lsn horizon = horizon_ + 1 + below(flushed - horizon_);
      if (collect_garbage(horizon - below(std::min<Lsn>(5, horizon - horizon_)), horizon)) ++collections;
    }
    if (below(5) == 0) writer_->serve_compactor();
    if (step % 10 == 0) {
      ASSERT_NO_FATAL_FAILURE(check(horizon_ + below(end_ - horizon_ + 1))) << "step " << step;
    }
  }
  EXPECT_GT(collections, 3);
  for (int i = 0; i < 3; ++i) {
    writer_->serve_compactor();
    (void)compactor_->merge();
    writer_->serve_compactor();
    std::set<Lsn> begins;
    for (const LayerInfo& layer : writer_->layers()) {
      if (!layer.image) begins.insert(layer.lsns.begin);
    }
    if (begins.empty()) break;
    // Through the middle of the newest run.
    const Lsn cutoff = (*begins.rbegin() + writer_->flushed_lsn()) / 2;
    if (cutoff <= horizon_) break;
    if (collect_garbage(cutoff, cutoff)) {
      ++splits;
      writer_->serve_compactor();
      if (cutoff_ == cutoff) check_nothing_old_is_left();
    }
    EXPECT_EQ(writer_->horizon().lsn, horizon_);
  }
  EXPECT_GT(splits, 0);
  for (Lsn at = horizon_; at <= end_; ++at) ASSERT_NO_FATAL_FAILURE(check(at));
  writer_->serve_compactor();
  EXPECT_EQ(files_in(env_, "store"), files_of(*writer_));
}

INSTANTIATE_TEST_SUITE_P(Seeds, Retention, ::testing::Range(1U, 9U));

class RetentionCrash : public Retention {};

TEST_P(RetentionCrash, AtAnyOperationLosesNothingAndLeavesNoFile) {
  for (int layer = 0; layer < 4; ++layer) {
    for (int i = 0; i < 25; ++i) put_record();
    writer_->flush();
  }
  const Files before = shut_down();
  const Lsn cutoff = end_ - 20;
  const auto work = [&] {
    (void)compactor_->collect_garbage(cutoff, {.lsn = cutoff, .time = 7});
    writer_->serve_compactor();
    (void)compactor_->collect_garbage(cutoff, {.lsn = cutoff, .time = 7});
    writer_->serve_compactor();
  };
  fail_at_every_operation(before, work, [&](bool server_too) {
    if (server_too) {
      // The horizon and the layers go together.
      const bool collected = writer_->horizon().lsn == cutoff;
      Lsn images_end = kInvalidLsn;
      for (const LayerInfo& layer : writer_->layers()) {
        if (layer.image) images_end = std::max(images_end, layer.lsns.end);
      }
      ASSERT_EQ(images_end > kRedo + 1, collected);
      for (const LayerInfo& layer : writer_->layers()) {
        if (!layer.image) {
          ASSERT_GE(layer.lsns.begin, images_end);
        }
      }
    } else {
      EXPECT_EQ(writer_->horizon().lsn, cutoff);
      EXPECT_EQ(writer_->horizon().time, 7);
    }
    cutoff_ = cutoff;
    horizon_time_ = last_time_at(cutoff);
    for (Lsn at = cutoff; at <= end_; at += 9) ASSERT_NO_FATAL_FAILURE(check(at));
  });
}

INSTANTIATE_TEST_SUITE_P(Seeds, RetentionCrash, ::testing::Range(1U, 2U));

TEST(GcPlan, RewritesOnlyWhatHasChanged) {
  FaultEnv env;
  Region region(std::size_t{1} << 18);
  Writer::create_store(env, "store", {.system_identifier = 1, .timeline = 1});
  Writer writer(env, "store", region.shared(), small());
  std::mt19937 random(1);
  writer.begin_baseline(kRedo);
  for (std::uint32_t block = 0; block < 40; ++block) {
    writer.add_baseline(image(page(1, block), kRedo, random_page(random)).entry());
  }
  writer.finish_baseline({.lsn = kRedo, .time = 0});
  const std::vector<LayerInfo> before = writer.layers();
  ASSERT_GT(before.size(), 8U);
  put(writer, {record(page(1, 11), 200, "abc"), record(page(1, 50), 200, "of a page that the baseline has not")}, 200);
  writer.publish(200);
  writer.flush();

  ToyRebuilder rebuilder;
  Compactor compactor(env, "store", region.shared(), rebuilder, small_compactor(small(), 20000));
  ASSERT_TRUE(compactor.collect_garbage(200, {.lsn = 200, .time = 1}));
  ASSERT_TRUE(writer.serve_compactor());
  std::size_t kept = 0;
  for (const LayerInfo& layer : writer.layers()) {
    EXPECT_TRUE(layer.image);
    for (const LayerInfo& old : before) kept += old.name == layer.name ? 1 : 0;
  }
  EXPECT_EQ(kept, before.size() - 1);
  Reader reader(env, "store", &region.shared());
  for (std::uint32_t block = 0; block < 40; ++block) {
    EXPECT_EQ(reader.chain(page(1, block), 200).size(), 1U) << block;
    EXPECT_EQ(reader.chain(page(1, block), 200).front().lsn, block == 11 ? 200U : kRedo);
  }
  EXPECT_FALSE(compactor.collect_garbage(200, {.lsn = 200, .time = 1}));
}

TEST(GarbageCollection, ForgetsMultixactsBeforeTheOldestAlsoBehindTheirWraparound) {
  constexpr std::uint32_t kLast = ~std::uint32_t{0};
  const auto multixact = [](std::uint32_t number, Lsn lsn) {
    return value({.kind = KeyKind::kMultiXact, .block = number}, lsn, "members of " + std::to_string(number));
  };
  struct Case {
    std::uint32_t oldest;
    std::set<std::uint32_t> kept;
  };
  const std::vector<std::uint32_t> numbers{1, 2, 100, 2000000000, 2200000000, kLast - 1, kLast};
  for (const Case& one :
       {Case{.oldest = 1, .kept = {1, 2, 100, 2000000000}}, Case{.oldest = 2, .kept = {2, 100, 2000000000}},
        Case{.oldest = kLast, .kept = {kLast, 1, 2, 100, 2000000000}}, Case{.oldest = 2100000000, .kept = {2200000000}},
        Case{.oldest = 2200000000, .kept = {2200000000, kLast - 1, kLast, 1, 2, 100}}}) {
    FaultEnv env;
    Region region(std::size_t{1} << 18);
    Writer::create_store(env, "store", {.system_identifier = 1, .timeline = 1});
    Writer writer(env, "store", region.shared(), small());
    writer.begin_baseline(kRedo);
    for (const std::uint32_t number : numbers) writer.add_baseline(multixact(number, kRedo).entry());
    writer.finish_baseline({.lsn = kRedo, .time = 0});
    put(writer, {record(page(1, 1), 200, "abc"), multixact(50, 200)}, 200);
    put(writer, {multixact(numbers[0], 300)}, 300);
    writer.publish(300);
    writer.flush();

    ToyRebuilder rebuilder;
    CompactorOptions options = small_compactor(small(), 20000);
    options.samples = 100;  // all
    Compactor compactor(env, "store", region.shared(), rebuilder, options);
    ASSERT_TRUE(compactor.collect_garbage(250, {.lsn = 250, .time = 1}, one.oldest));
    ASSERT_TRUE(writer.serve_compactor());
    Reader reader(env, "store", &region.shared());
    for (const std::uint32_t number : numbers) {
      EXPECT_EQ(reader.newest(multixact(number, 0).key, 250).has_value(), one.kept.contains(number))
          << number << ", oldest " << one.oldest;
    }
    // Its number has been taken again since.
    EXPECT_EQ(reader.newest(multixact(numbers[0], 0).key, 300)->lsn, 300U);
  }
}

TEST(DestroyStore, LeavesNoFileAndMakesRoomForAnother) {
  FaultEnv env;
  Region region(std::size_t{1} << 18);
  for (int round = 0; round < 2; ++round) {
    Writer::create_store(env, "store", {.system_identifier = 1, .timeline = 1});
    Writer writer(env, "store", region.shared(), small());
    writer.begin_baseline(kRedo);
    writer.add_baseline(image(page(1, 1), kRedo, "of round " + std::to_string(round)).entry());
    writer.finish_baseline({.lsn = kRedo, .time = 0});
    put(writer, {record(page(1, 1), 200, "abc")}, 200);
    writer.publish(200);
    writer.flush();
    Reader reader(env, "store", &region.shared());
    EXPECT_EQ(reader.chain(page(1, 1), 200).front().value.view(), "of round " + std::to_string(round));
    Writer::destroy_store(env, "store");
    EXPECT_FALSE(Writer::store_exists(env, "store"));
    EXPECT_TRUE(env.list("store").empty());
  }
  Writer::destroy_store(env, "store");
}

}  // namespace
}  // namespace strata::testing
