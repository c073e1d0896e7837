// Random work on a store against a model of it.
#include <gtest/gtest.h>

#include <set>

#include "store_fault_env.h"
#include "store_testing.h"

namespace strata::testing {
namespace {

class StoreModel : public ::testing::TestWithParam<unsigned> {
 protected:
  StoreModel() : random_(GetParam()) {
    Writer::create_store(env_, "store", {.system_identifier = 1, .timeline = 1});
    open();
  }

  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  void open() {
    writer_.reset();
    writer_ = std::make_unique<Writer>(env_, "store", region_.shared(), options_);
  }
  Reader& reader() {
    if (reader_ == nullptr || below(50) == 0) {
      reader_ = std::make_unique<Reader>(env_, "store", &region_.shared(), ReaderOptions{.cache_bytes = 1 << 16});
    }
    return *reader_;
  }

  Key random_key() {
    Key key = page(static_cast<std::uint32_t>(below(3)), static_cast<std::uint32_t>(below(12)));
    if (below(4) == 0) key.kind = KeyKind::kRelationSize;
    if (below(6) == 0) key.fork = 2;
    return key;
  }
  std::string random_value() {
    static constexpr std::size_t kSizes[] = {0, 1, 15, 16, 17, 100, 3000, 8192, 70000};
    std::string value(kSizes[below(below(4) == 0 ? 9 : 6)], '\0');
    for (std::size_t i = 0; i < value.size(); i += 3) value[i] = static_cast<char>(below(256));
    return value;
  }

  void take_baseline() {
    std::set<Key> keys;
    for (int i = 0; i < 20; ++i) keys.insert(random_key());
    end_ = 100;
    writer_->begin_baseline(end_);
    for (const Key& key : keys) {
      const OwnedEntry one = image(key, end_, random_value());
      writer_->add_baseline(one.entry());
      model_.add(one);
    }
    writer_->finish_baseline({.lsn = end_, .time = 0});
  }

  void put_record() {
    end_ += 1 + below(5);
    std::vector<OwnedEntry> entries;
    for (std::uint64_t n = below(5); n > 0; --n) {
      entries.push_back(below(8) == 0 ? image(random_key(), end_, random_value())
                                      : record(random_key(), end_, random_value()));
    }
    put(*writer_, entries, end_);
    for (const OwnedEntry& one : entries) {
      model_.add(one);
      unflushed_.push_back(one);
    }
    ends_.push_back(end_);
  }

  // A worker dies and another one reads the same WAL again from where the layers end.
  void reopen() {
    const Lsn visible = region_.shared().visible_lsn();
    open();
    put_again(*writer_, region_.shared(), unflushed_, visible);
  }

  // An LSN that is a version's, one beside it, or anything.
  Lsn interesting_lsn() {
    const auto& versions = model_.versions();
    auto key = versions.begin();
    std::advance(key, static_cast<std::ptrdiff_t>(below(versions.size())));
    const Lsn lsn = key->second[below(key->second.size())].lsn;
    switch (below(5)) {
      case 0:
        return lsn - 1;
      case 1:
        return lsn + 1;
      case 2:
        return below(end_ + 3);
      case 3:
        return kMaxLsn;
      default:
        return lsn;
    }
  }

  void check() {
    if (model_.versions().empty()) return;
    const Lsn visible = region_.shared().visible_lsn();
    const Lsn at = interesting_lsn();
    const Lsn upto = std::min(at, visible);
    const Lsn floor = below(2) == 0 ? kInvalidLsn : interesting_lsn();
    const Key key = random_key();
    ASSERT_TRUE(equal(reader().chain(key, at, floor), model_.chain(key, upto, floor)));

    const Chain all = model_.all(key, upto, floor);
    const auto newest = reader().newest(key, at, floor);
    ASSERT_EQ(newest.has_value(), !all.empty());
    ASSERT_TRUE(!newest || equal(*newest, all.back()));
    Chain history;
    reader().history(key, at, floor, [&](const Version& version) {
      history.push_back(version);
      return true;
    });
    std::reverse(history.begin(), history.end());
    ASSERT_TRUE(equal(history, all));

    std::set<Key> keys;
    for (std::uint64_t n = below(20); n > 0; --n) keys.insert(random_key());
    const std::vector<Key> sorted(keys.begin(), keys.end());
    std::size_t next = 0;
    reader().chains(sorted, at, floor, [&](std::size_t i, Chain&& chain) {
      EXPECT_EQ(i, next++);
      EXPECT_TRUE(equal(chain, model_.chain(sorted[i], upto, floor)));
    });
    ASSERT_EQ(next, sorted.size());

    // A reader goes on from where it was, in any order of keys.
    for (int i = 0; i < 6; ++i) {
      const Key next_key = random_key();
      ASSERT_TRUE(equal(reader().chain(next_key, at, floor), model_.chain(next_key, upto, floor)));
    }

    const Key first = random_key();
    const Key last = random_key();
    auto expected = model_.newest_in(first, last, upto);
    const auto found = reader().first_in(first, last, at);
    ASSERT_EQ(found.has_value(), !expected.empty());
    ASSERT_TRUE(!found || (found->first == expected.front().first && equal(found->second, expected.front().second)));
    std::erase_if(expected, [&](const auto& one) { return one.second.lsn <= floor; });
    std::vector<std::pair<Key, Version>> scanned;
    reader().scan(
        first, last, at,
        [&](const Key& k, const Version& version) {
          scanned.emplace_back(k, version);
          return true;
        },
        floor);
    ASSERT_TRUE(
        std::equal(scanned.begin(), scanned.end(), expected.begin(), expected.end(),
                   [](const auto& a, const auto& b) { return a.first == b.first && equal(a.second, b.second); }));
  }

  std::mt19937_64 random_;
  FaultEnv env_;
  Region region_{std::size_t{1} << 19};
  // Small blocks, so that every boundary is met.
  StoreOptions options_{.compression_level = 1,
                        .value_block_bytes = 2000,
                        .index_block_bytes = 200,
                        .inline_bytes = 32,
                        .dictionary_bytes = 512,
                        .sample_bytes = 5000,
                        .dictionary_reach = 5000,
                        .max_layer_bytes = 20000};
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Reader> reader_;
  Model model_;
  std::vector<OwnedEntry> unflushed_;
  std::vector<Lsn> ends_;
  Lsn end_ = kInvalidLsn;
};

TEST_P(StoreModel, AnswersAsAMapDoes) {
  if (below(4) != 0) take_baseline();
  for (int step = 0; step < 800; ++step) {
    switch (below(60)) {
      case 0:
        writer_->flush();
        break;
      case 1:
        reopen();
        break;
      default:
        put_record();
        break;
    }
    if (below(3) != 0) writer_->publish(std::max(end_, region_.shared().visible_lsn()));
    ASSERT_NO_FATAL_FAILURE(check()) << "step " << step;
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, StoreModel, ::testing::Range(1U, 9U));

}  // namespace
}  // namespace strata::testing
