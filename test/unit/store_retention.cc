// Trimming history takes away what is older than the horizon, and changes no answer at or above it.
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <set>

#include "store/compactor.h"
#include "store/time_marks.h"
#include "store/trim_plan.h"
#include "store_fault_env.h"
#include "store_testing.h"
#include "toy_rebuilder.h"

namespace strata::testing {
namespace {

StoreOptions small() { return {.value_block_bytes = 4000, .index_block_bytes = 300, .max_layer_bytes = 30000}; }

CompactorOptions compactor_options() {
  CompactorOptions options;
  options.store = small();
  options.bounds = {.records = 8, .bytes = 20000, .statuses = 8, .diff_bytes = 1000, .min_value_bytes = 200};
  options.fan_in = 3;
  options.max_inputs = 5;
  options.layer_bytes = 20000;
  options.memory_bytes = 200000;
  options.samples = 10;
  return options;
}

constexpr std::uint32_t kTablespace = 1663;
constexpr Lsn kRedo = 100;

Key with_kind(Key key, KeyKind kind) {
  key.kind = kind;
  if (kind != KeyKind::kPage) key.block = 0;
  return key;
}

Key page_of(std::uint32_t database, std::uint32_t relation, std::uint32_t block) {
  Key key = page(relation, block);
  key.database = database;
  return key;
}

Key database_key(std::uint32_t database) {
  return {.kind = KeyKind::kDatabase, .tablespace = kTablespace, .database = database};
}

std::string u32(std::uint32_t n) { return {reinterpret_cast<const char*>(&n), sizeof n}; }

std::uint32_t read_u32(const std::string& value, std::size_t at = 0) {
  std::uint32_t n = 0;
  std::memcpy(&n, value.data() + at, sizeof n);
  return n;
}

OwnedEntry value(const Key& key, Lsn lsn, std::string bytes) {
  return {.key = key, .lsn = lsn, .type = EntryType::kValue, .base = true, .value = std::move(bytes)};
}

// What a session would see. Written apart from the store's own code for it.
class Eyes {
 public:
  explicit Eyes(Reader& reader) : reader_(reader) {}

  // "gone", a number of blocks.
  std::string size(Key key, Lsn at) {
    key = with_kind(key, KeyKind::kRelationSize);
    const auto event = reader_.newest(database_key(key.database), at);
    const auto size = reader_.newest(key, at, event ? event->lsn : kInvalidLsn);
    if (size) return size->value.empty() ? "gone" : std::to_string(read_u32(size->value));
    if (!event || event->value.empty()) return "gone";
    key.database = read_u32(event->value, 4);
    return this->size(key, event->lsn);
  }

  // "nothing", "damaged", the bytes.
  std::string page(const Key& key, Lsn at) {
    const auto event = reader_.newest(database_key(key.database), at);
    const Lsn since = event ? event->lsn : kInvalidLsn;
    Lsn floor = since;
    reader_.history(with_kind(key, KeyKind::kRelationReset), at, since, [&](const Version& reset) {
      if (read_u32(reset.value) <= key.block) floor = std::max(floor, reset.lsn);
      return true;
    });
    Chain chain = reader_.chain(key, at, floor);
    if ((chain.empty() || !chain.front().base) && event && !event->value.empty() && floor == since) {
      Key source = key;
      source.database = read_u32(event->value, 4);
      const std::string before = page(source, since);
      if (before == "damaged") return before;
      if (before != "nothing") {
        chain.insert(chain.begin(), {.lsn = since, .type = EntryType::kImage, .base = true, .value = before});
      }
    }
    if (chain.empty()) return "nothing";
    if (!chain.front().base && chain.front().type == EntryType::kRecord) return "damaged";
    return rebuilt(key, chain);
  }

  std::string commit_log(const Key& key, Lsn at) {
    const Chain chain = reader_.chain(key, at);
    return chain.empty() ? "nothing" : rebuilt(key, chain);
  }

  std::string plain(const Key& key, Lsn at) {
    const auto newest = reader_.newest(key, at);
    return newest ? std::to_string(newest->lsn) + newest->value : "nothing";
  }

  // The LSN that a time stands for, and the last commit before an LSN.
  std::string moment(std::uint32_t time, Lsn at) {
    const Key last{.kind = KeyKind::kTimeMark, .tablespace = ~0U, .database = ~0U};
    const auto mark = reader_.first_in({.kind = KeyKind::kTimeMark, .database = time + 1}, last, kMaxLsn);
    std::string answer = mark ? std::to_string(mark->first.database) + mark->second.value : "the end";
    std::uint32_t before = 0;
    reader_.scan({.kind = KeyKind::kTimeMark}, last, at, [&](const Key& key, const Version&) {
      before = key.database;
      return true;
    });
    return answer + " after " + std::to_string(before);
  }

  std::string any(const Key& key, Lsn at) {
    switch (key.kind) {
      case KeyKind::kPage:
        return page(key, at);
      case KeyKind::kRelationSize:
        return size(key, at);
      case KeyKind::kCommitLog:
        return commit_log(key, at);
      case KeyKind::kRelationMap: {
        const auto event = reader_.newest(database_key(key.database), at);
        const auto map = reader_.newest(key, at, event ? event->lsn - 1 : kInvalidLsn);
        return map ? map->value : "nothing";
      }
      default:
        return plain(key, at);
    }
  }

 private:
  std::string rebuilt(const Key& key, const Chain& chain) {
    try {
      return rebuilder_.rebuild(key, chain);
    } catch (const StoreError&) {
      return "damaged";
    }
  }

  Reader& reader_;
  ToyRebuilder rebuilder_;
};

// A store, and one with the same history that is never trimmed.
class Retention : public ::testing::TestWithParam<unsigned> {
 protected:
  Retention() : random_(GetParam()) {
    Writer::create_store(whole_env_, "store", {.system_identifier = 1, .timeline = 1});
    whole_ = std::make_unique<Writer>(whole_env_, "store", whole_region_->shared(), small());
    open();
    for (Writer* writer : {whole_.get(), writer_.get()}) writer->begin_baseline(kRedo);
    std::vector<OwnedEntry> baseline;
    for (std::uint32_t relation = 1; relation <= 3; ++relation) {
      sizes_[5][relation] = 6;
      for (std::uint32_t block = 0; block < 6; ++block) {
        baseline.push_back(image(page_of(5, relation, block), kRedo, random_page()));
      }
    }
    for (std::uint32_t relation = 1; relation <= 3; ++relation) {
      baseline.push_back(value(with_kind(page_of(5, relation, 0), KeyKind::kRelationSize), kRedo, u32(6)));
    }
    baseline.push_back(image({.kind = KeyKind::kCommitLog}, kRedo, random_page()));
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

  static Key map_key(std::uint32_t database) {
    return {.kind = KeyKind::kRelationMap, .tablespace = kTablespace, .database = database};
  }

  std::string random_page() {
    std::string bytes(kPageBytes, '\0');
    for (std::size_t i = 0; i < bytes.size(); i += 1 + below(200)) bytes[i] = static_cast<char>(random_());
    return bytes;
  }
  std::string random_record() {
    std::string bytes(1 + below(100), '\0');
    for (char& c : bytes) c = static_cast<char>('a' + below(20));
    return bytes;
  }

  void change_page(std::uint32_t database, std::uint32_t relation, std::vector<OwnedEntry>& out) {
    std::uint32_t& size = sizes_[database][relation];
    const auto block = static_cast<std::uint32_t>(below(std::min<std::uint32_t>(size + 1, 9)));
    const Key key = page_of(database, relation, block);
    if (block >= size) {
      size = block + 1;
      out.push_back({.key = key, .lsn = end_, .type = EntryType::kRecord, .base = true, .value = random_record()});
      out.push_back(value(with_kind(key, KeyKind::kRelationSize), end_, u32(size)));
    } else if (below(6) == 0) {
      out.push_back(image(key, end_, random_page()));
    } else {
      out.push_back(record(key, end_, below(150) == 0 ? "broken" : random_record()));
    }
  }

  void resize(std::uint32_t database, std::uint32_t relation, std::uint32_t blocks, bool drop,
              std::vector<OwnedEntry>& out) {
    const Key key = page_of(database, relation, 0);
    out.push_back(value(with_kind(key, KeyKind::kRelationSize), end_, drop ? "" : u32(blocks)));
    out.push_back(value(with_kind(key, KeyKind::kRelationReset), end_, u32(blocks)));
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

  void put_again() {
    std::map<Lsn, std::vector<OwnedEntry>> again;
    for (const OwnedEntry& one : unflushed_) {
      if (one.lsn > writer_->flushed_lsn()) again[one.lsn].push_back(one);
    }
    for (const auto& [lsn, entries] : again) put(*writer_, entries, lsn);
    if (end_ > region_->shared().visible_lsn()) writer_->publish(end_);
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

  std::optional<TrimResult> trim(Lsn cut, Lsn horizon) {
    auto result = compactor_->trim(cut, {.lsn = horizon, .time = 0});
    if (result) {
      horizon_ = std::max(horizon_, horizon);
      cut_ = result->cut;
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
          if (at >= cut_ && key.database >= horizon_time_) {
            ASSERT_EQ(eyes.moment(key.database, at), expected.moment(key.database, at)) << at;
          }
          break;
        case KeyKind::kRelationReset:
        case KeyKind::kDatabase:
          break;
        default:
          ASSERT_TRUE(eyes.any(key, at) == expected.any(key, at))
              << "kind " << static_cast<int>(key.kind) << ' ' << key.database << '/' << key.relation << '/' << key.block
              << " at " << at << ", cut " << cut_;
      }
    }
  }

  // After everything at or below the cut has been trimmed.
  void check_nothing_old_is_left() {
    for (const LayerInfo& layer : writer_->layers()) {
      if (!layer.image) {
        EXPECT_GT(layer.lsns.begin, cut_);
      }
    }
    Reader reader(env_, "store", &region_->shared());
    Reader whole(whole_env_, "store", &whole_region_->shared());
    Eyes expected(whole);
    std::size_t marks = 0;
    reader.scan({.kind = KeyKind::kPage}, {.kind = static_cast<KeyKind>(255)}, cut_,
                [&](const Key& key, const Version& version) {
                  EXPECT_TRUE(version.base);
                  EXPECT_NE(static_cast<int>(key.kind), static_cast<int>(KeyKind::kRelationReset));
                  if (key.kind == KeyKind::kTimeMark) ++marks;
                  if (key.kind == KeyKind::kDatabase) {
                    EXPECT_TRUE(version.value.empty());
                  }
                  if (key.kind == KeyKind::kPage) {
                    EXPECT_NE(expected.page(key, cut_), "nothing") << key.database << '/' << key.relation;
                  }
                  if (key.kind == KeyKind::kRelationSize) {
                    EXPECT_NE(expected.size(key, cut_), "gone");
                  }
                  int versions = 0;
                  reader.history(key, cut_, kInvalidLsn, [&](const Version&) {
                    ++versions;
                    return true;
                  });
                  EXPECT_EQ(versions, 1);
                  return true;
                });
    EXPECT_LE(marks, 1U);
  }

  std::mt19937_64 random_;
  FaultEnv env_;
  FaultEnv whole_env_;
  std::unique_ptr<Region> region_ = std::make_unique<Region>(std::size_t{1} << 18);
  std::unique_ptr<Region> whole_region_ = std::make_unique<Region>(std::size_t{1} << 22);
  ToyRebuilder rebuilder_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Writer> whole_;
  std::unique_ptr<Compactor> compactor_;
  std::map<std::uint32_t, std::map<std::uint32_t, std::uint32_t>> sizes_;  // database -> relation -> blocks
  std::set<Key> keys_;
  std::vector<OwnedEntry> unflushed_;
  std::uint32_t next_multi_ = 1;
  std::uint32_t time_ = 1;
  std::uint32_t horizon_time_ = 0;
  Lsn horizon_ = kInvalidLsn;
  Lsn cut_ = kInvalidLsn;
  Lsn end_ = kInvalidLsn;
};

TEST_P(Retention, ChangesNoAnswerAtOrAboveTheCut) {
  int trims = 0;
  int splits = 0;
  for (int step = 0; step < 900; ++step) {
    put_record();
    switch (below(50)) {
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
    if (below(10) == 0) (void)compactor_->merge();
    const Lsn flushed = writer_->flushed_lsn();
    if (below(30) == 0 && flushed > horizon_) {
      const Lsn horizon = horizon_ + 1 + below(flushed - horizon_);
      if (trim(horizon - below(std::min<Lsn>(5, horizon - horizon_)), horizon)) ++trims;
    }
    if (below(5) == 0) writer_->serve_compactor();
    if (step % 10 == 0) {
      ASSERT_NO_FATAL_FAILURE(check(horizon_ + below(end_ - horizon_ + 1))) << "step " << step;
    }
  }
  EXPECT_GT(trims, 3);
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
    const Lsn cut = (*begins.rbegin() + writer_->flushed_lsn()) / 2;
    if (cut <= horizon_) break;
    if (trim(cut, cut)) {
      ++splits;
      writer_->serve_compactor();
      if (cut_ == cut) check_nothing_old_is_left();
    }
    EXPECT_EQ(writer_->horizon().lsn, horizon_);
  }
  EXPECT_GT(splits, 0);
  for (Lsn at = horizon_; at <= end_; ++at) ASSERT_NO_FATAL_FAILURE(check(at));
  writer_->serve_compactor();
  std::set<std::string> expected{"MANIFEST"};
  for (const LayerInfo& layer : writer_->layers()) expected.insert(layer.name);
  const auto names = env_.list("store");
  EXPECT_EQ(std::set<std::string>(names.begin(), names.end()), expected);
}

INSTANTIATE_TEST_SUITE_P(Seeds, Retention, ::testing::Range(1U, 9U));

class RetentionCrash : public Retention {};

TEST_P(RetentionCrash, AtAnyOperationLosesNothingAndLeavesNoFile) {
  for (int layer = 0; layer < 4; ++layer) {
    for (int i = 0; i < 25; ++i) put_record();
    writer_->flush();
  }
  writer_.reset();
  compactor_.reset();
  env_.restart();
  const auto before = env_.save();
  const Lsn cut = end_ - 20;
  bool reached = true;
  for (std::uint64_t n = 0; reached; ++n) {
    for (const bool server_too : {true, false}) {
      compactor_.reset();
      writer_.reset();
      env_.load(before);
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
          (void)compactor_->trim(cut, {.lsn = cut, .time = 7});
          writer_->serve_compactor();
          (void)compactor_->trim(cut, {.lsn = cut, .time = 7});
          writer_->serve_compactor();
          return true;
        } catch (const StoreError&) {
          return false;
        }
      };
      (void)once();
      reached = env_.operations() > begin + n;
      if (!server_too) {
        env_.fail_at(FaultEnv::kNever);
        for (int i = 0; i < 3; ++i) {
          ASSERT_TRUE(once());
        }
        EXPECT_EQ(writer_->horizon().lsn, cut);
        EXPECT_EQ(writer_->horizon().time, 7);
      }
      if (server_too) {
        env_.restart(n % 2 == 0 ? 0 : 0.5);
        compactor_.reset();
        writer_.reset();
        region_ = std::make_unique<Region>(std::size_t{1} << 18);
        open();
        // The horizon and the layers go together.
        const bool trimmed = writer_->horizon().lsn == cut;
        Lsn images_end = kInvalidLsn;
        for (const LayerInfo& layer : writer_->layers()) {
          if (layer.image) images_end = std::max(images_end, layer.lsns.end);
        }
        ASSERT_EQ(images_end > kRedo + 1, trimmed);
        for (const LayerInfo& layer : writer_->layers()) {
          if (!layer.image) {
            ASSERT_GE(layer.lsns.begin, images_end);
          }
        }
      }
      cut_ = cut;
      horizon_time_ = last_time_at(cut);
      for (Lsn at = cut; at <= end_; at += 9) ASSERT_NO_FATAL_FAILURE(check(at)) << "operation " << n;
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

INSTANTIATE_TEST_SUITE_P(Seeds, RetentionCrash, ::testing::Range(1U, 2U));

TEST(TrimPlan, RewritesOnlyWhatHasChanged) {
  FaultEnv env;
  Region region(std::size_t{1} << 18);
  Writer::create_store(env, "store", {.system_identifier = 1, .timeline = 1});
  Writer writer(env, "store", region.shared(), small());
  std::mt19937 random(1);
  writer.begin_baseline(kRedo);
  for (std::uint32_t block = 0; block < 40; ++block) {
    std::string bytes(kPageBytes, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    writer.add_baseline(image(page(1, block), kRedo, bytes).entry());
  }
  writer.finish_baseline({.lsn = kRedo, .time = 0});
  const std::vector<LayerInfo> before = writer.layers();
  ASSERT_GT(before.size(), 8U);
  put(writer, {record(page(1, 11), 200, "abc"), record(page(1, 50), 200, "of a page that the baseline has not")}, 200);
  writer.publish(200);
  writer.flush();

  ToyRebuilder rebuilder;
  Compactor compactor(env, "store", region.shared(), rebuilder, compactor_options());
  ASSERT_TRUE(compactor.trim(200, {.lsn = 200, .time = 1}));
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
  EXPECT_FALSE(compactor.trim(200, {.lsn = 200, .time = 1}));
}

TEST(HistorySize, CountsEvenlyWithinARun) {
  const auto layer = [](bool image, Lsn begin, Lsn end, std::uint64_t bytes) {
    LayerInfo info;
    info.image = image;
    info.lsns = {.begin = begin, .end = end};
    info.bytes = bytes;
    return info;
  };
  const HistorySize size({layer(true, 10, 11, 500), layer(false, 100, 201, 1000), layer(false, 100, 201, 1000),
                          layer(false, 301, 402, 400)});
  EXPECT_EQ(size.images(), 500U);
  EXPECT_EQ(size.deltas(), 2400U);
  EXPECT_EQ(size.deltas_up_to(99), 0U);
  EXPECT_NEAR(static_cast<double>(size.deltas_up_to(150)), 1000, 30);
  EXPECT_EQ(size.deltas_up_to(200), 2000U);
  EXPECT_EQ(size.deltas_up_to(300), 2000U);
  EXPECT_EQ(size.deltas_up_to(401), 2400U);
  EXPECT_NEAR(static_cast<double>(size.end_of_first(1000)), 150, 2);
  EXPECT_EQ(size.end_of_first(2000), 200U);
  EXPECT_EQ(size.end_of_first(2400), 401U);
  EXPECT_EQ(size.end_of_first(2401), kMaxLsn);
}

TEST(TimeMarks, AreFoundByTimeAndByLsn) {
  FaultEnv env;
  Region region(std::size_t{1} << 18);
  Writer::create_store(env, "store", {.system_identifier = 1, .timeline = 1});
  Writer writer(env, "store", region.shared(), small());
  Reader reader(env, "store", &region.shared());
  EXPECT_FALSE(newest_mark_by_time(reader, 1000));
  std::vector<TimeMark> marks;
  for (std::int64_t n = -20; n < 20; ++n) {
    // Before and after 2000-01-01.
    const TimeMark mark{.time = n * 1'000'000'007, .lsn = static_cast<Lsn>(1000 + n * 10)};
    put(writer, {value(time_mark_key(mark.time), mark.lsn, "12345678")}, mark.lsn);
    writer.publish(mark.lsn);
    if (n == 0) writer.flush();
    marks.push_back(mark);
  }
  EXPECT_FALSE(newest_mark_by_time(reader, marks.front().time - 1));
  EXPECT_FALSE(newest_mark_by_lsn(reader, marks.front().lsn - 1));
  for (std::size_t i = 0; i < marks.size(); ++i) {
    const auto is_mark = [&](const std::optional<TimeMark>& found) {
      return found && found->time == marks[i].time && found->lsn == marks[i].lsn;
    };
    EXPECT_TRUE(is_mark(newest_mark_by_time(reader, marks[i].time)));
    EXPECT_TRUE(is_mark(newest_mark_by_time(reader, marks[i].time + 1)));
    EXPECT_TRUE(is_mark(newest_mark_by_lsn(reader, marks[i].lsn)));
    EXPECT_TRUE(is_mark(newest_mark_by_lsn(reader, marks[i].lsn + 9)));
  }
  EXPECT_EQ(newest_mark_by_time(reader, std::numeric_limits<std::int64_t>::max())->lsn, marks.back().lsn);
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
    EXPECT_EQ(reader.chain(page(1, 1), 200).front().value, "of round " + std::to_string(round));
    Writer::destroy_store(env, "store");
    EXPECT_FALSE(Writer::store_exists(env, "store"));
    EXPECT_TRUE(env.list("store").empty());
  }
  Writer::destroy_store(env, "store");
}

}  // namespace
}  // namespace strata::testing
