// Values that the memtable leaves in WAL are read like those that it has, by whoever reads them and however late.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <utility>

#include "store/flusher.h"
#include "store_fault_env.h"
#include "store_testing.h"
#include "toy_rebuilder.h"

namespace strata::testing {
namespace {

constexpr std::size_t kBound = 8;

// What stands in WAL, by what refers to it.
class WalEnv : public FaultEnv {
 public:
  std::map<std::string, std::string> wal;
  std::function<void()> on_read;
  int reads = 0;

  std::unique_ptr<WalValues> wal_values() override { return std::make_unique<Values>(*this); }

 private:
  class Values : public WalValues {
   public:
    explicit Values(WalEnv& env) : env_(env) {}
    void read(std::span<const std::byte> reference, std::string& value) override {
      ++env_.reads;
      if (env_.on_read) std::exchange(env_.on_read, nullptr)();
      const auto found = env_.wal.find({reinterpret_cast<const char*>(reference.data()), reference.size()});
      if (found == env_.wal.end()) throw StoreError(ErrorKind::kIo, "WAL is gone");
      value = found->second;
    }

   private:
    WalEnv& env_;
  };
};

class ValuesInWal : public ::testing::Test {
 protected:
  ValuesInWal() {
    Writer::create_store(env_, "store", {.system_identifier = 1, .timeline = 1});
    writer_ = std::make_unique<Writer>(env_, "store", region_.shared(), StoreOptions{},
                                       FlusherHooks{.wake = nullptr, .wait = [this] { flush_beside(); }, .prove = {}});
  }

  void open_flusher() {
    FlusherOptions options;
    options.bounds.records = kBound;
    flusher_ = std::make_unique<Flusher>(env_, "store", region_.shared(), rebuilder_, std::move(options));
  }
  void flush_beside() { ASSERT_TRUE(flusher_->flush()); }

  // The versions of one record. Images stay in WAL.
  void put_record(std::vector<OwnedEntry> owned, bool publish = true) {
    end_ += 10;
    std::vector<std::string> references;
    references.reserve(owned.size());
    std::vector<Entry> entries;
    for (OwnedEntry& one : owned) {
      one.lsn = end_;
      model_.add(one);
      entries.push_back(one.entry());
      if (one.type != EntryType::kImage) continue;
      references.push_back(std::to_string(end_) + "/" + std::to_string(references.size()));
      env_.wal[references.back()] = one.value;
      entries.back().value = bytes_of(references.back());
      entries.back().in_wal = true;
    }
    writer_->put(entries, end_);
    if (publish) writer_->publish(end_);
  }
  void put_some(int records) {
    for (int i = 0; i < records; ++i) {
      const auto block = static_cast<std::uint32_t>(i % 7);
      if (i % 5 == 0) {
        put_record({image(page(1, block), 0, std::string(90, static_cast<char>('a' + i % 26))),
                    record(page(2, block), 0, "beside")});
      } else {
        put_record({record(page(1, block), 0, std::string(30, 'r'))});
      }
    }
  }

  void expect_everything() {
    Reader reader(env_, "store", &region_.shared());
    for (const auto& [key, versions] : model_.versions()) {
      for (const Lsn at : {end_, end_ / 2}) {
        ASSERT_TRUE(equal(reader.chain(key, at), model_.chain(key, at, kInvalidLsn))) << key.block << " at " << at;
        const Chain all = model_.all(key, at, kInvalidLsn);
        const auto newest = reader.newest(key, at);
        ASSERT_EQ(newest.has_value(), !all.empty());
        if (newest) {
          ASSERT_TRUE(equal(*newest, all.back()));
        }
      }
      Chain history;
      reader.history(key, end_, kInvalidLsn, [&](const Version& version) {
        history.insert(history.begin(), version);
        return true;
      });
      ASSERT_TRUE(equal(history, versions)) << key.block;
    }
    Chain scanned;
    Chain expected;
    reader.scan(page(0, 0), page(9, 0), end_, [&](const Key&, const Version& version) {
      scanned.push_back(version);
      return true;
    });
    for (const auto& [key, version] : model_.newest_in(page(0, 0), page(9, 0), end_)) expected.push_back(version);
    ASSERT_TRUE(equal(scanned, expected));
  }
  // From here on only layers have the values.
  void lose_wal() { env_.wal.clear(); }

  WalEnv env_;
  Region region_{SharedStore::min_size()};
  ToyRebuilder rebuilder_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Flusher> flusher_;
  Model model_;
  Lsn end_ = 0;
};

TEST_F(ValuesInWal, AreReadThereUntilTheWriterHasFlushedThem) {
  put_some(60);
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  EXPECT_GT(env_.reads, 0);
  writer_->flush();
  lose_wal();
  ASSERT_NO_FATAL_FAILURE(expect_everything());
}

TEST_F(ValuesInWal, AreReadThereUntilTheFlusherHasFlushedThem) {
  open_flusher();
  put_some(60);
  writer_->start_flush();
  put_some(20);
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  flush_beside();
  ASSERT_TRUE(writer_->serve_flusher());
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  writer_->flush();
  lose_wal();
  ASSERT_NO_FATAL_FAILURE(expect_everything());
}

TEST_F(ValuesInWal, AreWhatLongChainsAreRebuiltFrom) {
  open_flusher();
  const Key key = page(1, 1);
  put_record({image(key, 0, std::string(kPageBytes, 'i'))});
  for (std::size_t i = 0; i < 4 * kBound; ++i) put_record({record(key, 0, "changes")});
  writer_->start_flush();
  const std::optional<Flusher::Result> result = flusher_->flush();
  ASSERT_TRUE(result);
  EXPECT_GE(result->chains.images, 3U);
  ASSERT_TRUE(writer_->serve_flusher());
  lose_wal();
  Reader reader(env_, "store", &region_.shared());
  EXPECT_LE(reader.chain(key, end_).size(), kBound + 1);
  EXPECT_EQ(ToyRebuilder().rebuild(key, reader.chain(key, end_)),
            ToyRebuilder().rebuild(key, model_.chain(key, end_, kInvalidLsn)));
}

TEST_F(ValuesInWal, GoAlongWhenAMemtableIsLeftAndWhenARecordDoesNotFit) {
  open_flusher();
  put_some(10);
  // Not visible yet: it moves to the other memtable.
  put_record({image(page(3, 1), 0, std::string(200, 'm'))}, false);
  writer_->start_flush();
  flush_beside();
  ASSERT_TRUE(writer_->serve_flusher());
  writer_->publish(end_);
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  put_record({image(page(3, 2), 0, std::string(200, 'n')), record(page(3, 3), 0, std::string(100000, 'l'))});
  ASSERT_NO_FATAL_FAILURE(expect_everything());
  EXPECT_EQ(writer_->flushed_lsn(), end_);
  lose_wal();
  ASSERT_NO_FATAL_FAILURE(expect_everything());
}

// WAL goes as soon as a layer has the versions: between a reader's look at the memtable and at WAL.
TEST_F(ValuesInWal, AreFoundInTheLayerWhenWalHasGoneMeanwhile) {
  put_some(60);
  const Key key = page(1, 5);
  Reader reader(env_, "store", &region_.shared());
  const auto flush_now = [&] {
    writer_->flush();
    lose_wal();
  };
  env_.on_read = flush_now;
  EXPECT_TRUE(equal(reader.chain(key, end_), model_.chain(key, end_, kInvalidLsn)));
  EXPECT_FALSE(env_.on_read);

  put_some(60);
  env_.on_read = flush_now;
  Chain found;
  reader.history(key, end_, kInvalidLsn, [&](const Version& version) {
    found.insert(found.begin(), version);
    return true;
  });
  EXPECT_TRUE(equal(found, model_.all(key, end_, kInvalidLsn)));
  EXPECT_FALSE(env_.on_read);

  put_record({image(page(4, 1), 0, "newest")});
  env_.on_read = flush_now;
  const auto first = reader.first_in(page(4, 0), page(4, 9), end_);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->second.value.view(), "newest");
  EXPECT_FALSE(env_.on_read);
}

TEST_F(ValuesInWal, ThatAreLostAreAnErrorAndStopTheFlush) {
  put_some(60);
  const auto saved = env_.wal;
  lose_wal();
  Reader reader(env_, "store", &region_.shared());
  EXPECT_THROW(static_cast<void>(reader.chain(page(1, 5), end_)), StoreError);
  EXPECT_THROW(writer_->flush(), StoreError);
  EXPECT_EQ(writer_->flushed_lsn(), kInvalidLsn);
  env_.wal = saved;
  writer_->flush();
  ASSERT_NO_FATAL_FAILURE(expect_everything());
}

}  // namespace
}  // namespace strata::testing
