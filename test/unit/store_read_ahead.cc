// Reading files piece by piece.
#include <gtest/gtest.h>

#include <random>

#include "store/error.h"
#include "store/read_ahead.h"
#include "store/value.h"

namespace strata {
namespace {

// A file of known bytes that counts how often it is read, and how much.
class CountedFile final : public ReadableFile {
 public:
  struct Counts {
    int reads = 0;
    std::uint64_t bytes = 0;
    bool fails = false;
  };
  CountedFile(std::uint64_t bytes, Counts& counts) : bytes_(bytes), counts_(counts) {}

  static std::byte at(std::uint64_t offset) { return static_cast<std::byte>((offset * 7) ^ (offset >> 8)); }
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    ++counts_.reads;
    counts_.bytes += out.size();
    if (offset + out.size() > bytes_) throw StoreError(ErrorKind::kCorrupt, "the file ends before");
    for (std::size_t i = 0; i < out.size(); ++i) out[i] = at(offset + i);
    if (counts_.fails) throw StoreError(ErrorKind::kIo, "half a read");
  }
  [[nodiscard]] std::uint64_t size() const override { return bytes_; }

 private:
  std::uint64_t bytes_;
  Counts& counts_;
};

constexpr std::uint64_t kFileBytes = 200'000;

class ReadAheadTest : public ::testing::Test {
 protected:
  bool is_right(std::uint64_t offset, std::size_t size) {
    const Bytes bytes = file_.read(offset, size);
    if (bytes.size() != size) return false;
    for (std::size_t i = 0; i < size; ++i) {
      if (bytes[i] != CountedFile::at(offset + i)) return false;
    }
    return true;
  }

  CountedFile::Counts counts_;
  ReadAhead file_{std::make_unique<CountedFile>(kFileBytes, counts_)};
};

TEST_F(ReadAheadTest, PiecesThatFollowEachOtherAreReadTogether) {
  for (std::uint64_t at = 0; at + 1000 <= kFileBytes; at += 1000) ASSERT_TRUE(is_right(at, 1000)) << at;
  EXPECT_LE(counts_.reads, 10);
  EXPECT_LE(counts_.bytes, kFileBytes + 32 * 1024);
}

TEST_F(ReadAheadTest, APieceElsewhereIsReadAlone) {
  ASSERT_TRUE(is_right(100'000, 500));
  ASSERT_TRUE(is_right(20'000, 500));
  ASSERT_TRUE(is_right(180'000, 500));
  EXPECT_EQ(counts_.reads, 3);
  EXPECT_EQ(counts_.bytes, 1500U);
}

TEST_F(ReadAheadTest, TwoNeighboursAreNoScan) {
  for (const std::uint64_t at : {100'000, 20'000, 60'000}) {
    ASSERT_TRUE(is_right(at, 500));
    ASSERT_TRUE(is_right(at + 500, 700));
  }
  EXPECT_EQ(counts_.bytes, 3600U);
}

TEST_F(ReadAheadTest, NothingIsReadBeyondTheEnd) {
  ASSERT_TRUE(is_right(kFileBytes - 2000, 1000));
  ASSERT_TRUE(is_right(kFileBytes - 1000, 1000));
  EXPECT_THROW(static_cast<void>(file_.read(kFileBytes, 1)), StoreError);
}

TEST_F(ReadAheadTest, WhatAFailedReadLeftIsNotTaken) {
  ASSERT_TRUE(is_right(0, 1000));
  counts_.fails = true;
  EXPECT_THROW(static_cast<void>(file_.read(50'000, 1000)), StoreError);
  EXPECT_THROW(static_cast<void>(file_.read(0, 1000)), StoreError);
  counts_.fails = false;
  EXPECT_TRUE(is_right(50'000, 1000));
  EXPECT_TRUE(is_right(0, 1000));
}

TEST_F(ReadAheadTest, AnyPiecesInAnyOrder) {
  std::mt19937_64 random(17);
  std::uint64_t at = 0;
  for (int i = 0; i < 3000; ++i) {
    const std::size_t size = 1 + random() % (random() % 8 == 0 ? 50'000 : 3000);
    if (random() % 4 == 0 || at + size > kFileBytes) at = random() % (kFileBytes - size);
    ASSERT_TRUE(is_right(at, size)) << at << " " << size;
    at += size + random() % 3 * 100;
  }
}

TEST(ValueTest, APartKeepsWhatItIsOf) {
  auto block = std::make_shared<const std::string>("one value and another one");
  const std::weak_ptr<const std::string> watch = block;
  Value part(block, std::string_view(*block).substr(10, 3));
  block.reset();
  Value copy = part;
  part = Value();
  EXPECT_EQ(copy.view(), "and");
  EXPECT_FALSE(watch.expired());
  copy = std::string("its own");
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(copy.view(), "its own");
  EXPECT_TRUE(Value::copy_of("").empty());
}

}  // namespace
}  // namespace strata
