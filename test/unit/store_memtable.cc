// One memtable: what is added is found, in order, at any LSN.
#include <gtest/gtest.h>

#include "store_testing.h"

namespace strata::testing {
namespace {

class MemtableTest : public ::testing::Test {
 protected:
  Memtable& make(std::size_t bytes) {
    memory_.reset(static_cast<std::byte*>(std::aligned_alloc(64, (bytes + 63) / 64 * 64)));
    return Memtable::format(memory_.get(), bytes);
  }

  std::unique_ptr<std::byte, decltype(&std::free)> memory_{nullptr, &std::free};
};

TEST_F(MemtableTest, EveryVersionIsFoundAtEveryLsn) {
  Memtable& table = make(std::size_t{4} << 20);
  Model model;
  std::mt19937_64 random(1);
  for (int round = 0; round < 2; ++round) {
    table.reset();
    model = Model();
    EXPECT_EQ(table.used_bytes(), 0U);
    Lsn lsn = 100;
    for (std::uint32_t i = 0; i < 5000; ++i) {
      if (random() % 3 != 0) lsn += 1 + random() % 5;
      // Few keys with many versions, many with few.
      const auto relation = static_cast<std::uint32_t>(random() % 2);
      const Key key = page(relation, static_cast<std::uint32_t>(random() % (relation == 0 ? 3 : 500)));
      const std::string value(random() % 40, static_cast<char>('a' + i % 26));
      const OwnedEntry one = random() % 9 == 0 ? image(key, lsn, value) : record(key, lsn, value);
      const std::size_t before = table.free_bytes();
      table.add(one.entry(), i);
      EXPECT_LE(before - table.free_bytes(), Memtable::space_for(value.size()));
      model.add(one);
    }

    Memtable::Cursor cursor(table);
    cursor.seek_first();
    for (const auto& [key, versions] : model.versions()) {
      std::uint32_t records = 0;
      std::uint32_t longest = 0;
      for (const Version& version : versions) {
        records = version.base ? 0 : records + 1;
        longest = std::max(longest, records);
      }
      EXPECT_EQ(cursor.longest_chain(), longest);
      for (auto version = versions.rbegin(); version != versions.rend(); ++version, cursor.next()) {
        ASSERT_TRUE(cursor.valid() && cursor.key() == key && cursor.lsn() == version->lsn);
        const auto* value = reinterpret_cast<const char*>(cursor.entry().value.data());
        ASSERT_EQ(std::string(value, cursor.entry().value.size()), version->value);
      }
    }
    EXPECT_FALSE(cursor.valid());

    for (int i = 0; i < 3000; ++i) {
      const Key key = page(static_cast<std::uint32_t>(random() % 3), static_cast<std::uint32_t>(random() % 510));
      const Lsn at = 90 + random() % (lsn - 80);
      cursor.seek(key, at);
      auto expected = model.versions().lower_bound(key);
      Chain versions = model.all(key, at, kInvalidLsn);
      if (versions.empty() && expected != model.versions().end()) {
        if (expected->first == key) ++expected;
        if (expected != model.versions().end()) versions = expected->second;
      }
      ASSERT_EQ(cursor.valid(), !versions.empty());
      if (!cursor.valid()) continue;
      EXPECT_EQ(cursor.key(), expected->first);
      EXPECT_EQ(cursor.lsn(), versions.back().lsn);
      cursor.next_key();
      EXPECT_EQ(cursor.valid(), std::next(expected) != model.versions().end());
    }
  }
}

TEST_F(MemtableTest, IsFullWhenVersionsAndKeysMeet) {
  Memtable& table = make((std::size_t{64} << 10) + 4);
  Model model;
  std::mt19937_64 random(2);
  constexpr std::size_t kMaxBytes = 40;
  Lsn lsn = 100;
  while (table.free_bytes() >= Memtable::space_for(kMaxBytes)) {
    const Key key = page(1, static_cast<std::uint32_t>(random() % 2000));
    const OwnedEntry one = record(key, ++lsn, std::string(random() % kMaxBytes, 'v'));
    table.add(one.entry(), 0);
    model.add(one);
  }
  EXPECT_LT(table.free_bytes(), Memtable::space_for(kMaxBytes));
  EXPECT_LT(table.used_bytes() + table.free_bytes(), std::size_t{64} << 10);

  Memtable::Cursor cursor(table);
  cursor.seek_first();
  for (const auto& [key, versions] : model.versions()) {
    for (auto version = versions.rbegin(); version != versions.rend(); ++version, cursor.next()) {
      ASSERT_TRUE(cursor.valid() && cursor.key() == key && cursor.lsn() == version->lsn);
      ASSERT_EQ(cursor.entry().value.size(), version->value.size());
    }
  }
  EXPECT_FALSE(cursor.valid());
}

TEST_F(MemtableTest, AKeyWithManyVersionsIsSearchedAndNotWalked) {
  constexpr std::uint32_t kVersions = 200000;
  Memtable& table = make(std::size_t{16} << 20);
  for (std::uint32_t i = 1; i <= kVersions; ++i) table.add(record(page(1, 1), i, "").entry(), 0);
  Memtable::Cursor cursor(table);
  for (Lsn at = 1; at <= kVersions; ++at) {
    cursor.seek(page(1, 1), at);
    ASSERT_EQ(cursor.lsn(), at);
  }
}

}  // namespace
}  // namespace strata::testing
