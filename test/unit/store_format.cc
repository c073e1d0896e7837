// The formats, apart from the store.
#include <gtest/gtest.h>

#include "store/filter.h"
#include "store/index_block.h"
#include "store/manifest.h"
#include "store_testing.h"

namespace strata::testing {
namespace {

TEST(StoreFormat, EncodedKeysSortAsKeysDo) {
  std::mt19937_64 random(1);
  const auto some_key = [&] {
    const auto field = [&] { return static_cast<std::uint32_t>(random() % 2 == 0 ? random() % 3 : random()); };
    return Key{.kind = static_cast<KeyKind>(1 + random() % 10),
               .tablespace = field(),
               .database = field(),
               .relation = field(),
               .fork = static_cast<std::uint8_t>(random() % 4),
               .block = field()};
  };
  for (int i = 0; i < 20000; ++i) {
    const Key a = some_key();
    Key b = some_key();
    if (i % 2 == 0) {
      b = a;
      b.block = some_key().block;
    }
    EXPECT_EQ(decode_key(encode_key(a)), a);
    EXPECT_EQ(compare(encode_key(a), encode_key(b)) < 0, a < b);
  }
}

TEST(StoreFormat, AVarintReadsBackAndATooLongOneIsRefused) {
  for (const std::uint64_t value :
       {std::uint64_t{0}, std::uint64_t{127}, std::uint64_t{128}, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    std::string out;
    put_varint(out, value);
    EXPECT_EQ(ByteReader(as_bytes(out), "f", 0).varint(), value);
    EXPECT_THROW(ByteReader(as_bytes(out).first(out.size() - 1), "f", 0).varint(), StoreError);
  }
  EXPECT_THROW(ByteReader(as_bytes(std::string(11, '\x80')), "f", 0).varint(), StoreError);
  EXPECT_THROW(ByteReader(as_bytes(std::string(9, '\xff') + "\x02"), "f", 0).varint(), StoreError);
}

TEST(StoreFormat, AFilterNeverDeniesAKeyAndRarelyClaimsOne) {
  std::mt19937_64 random(1);
  std::vector<std::uint64_t> hashes(10000);
  for (auto& hash : hashes) hash = hash_key(encode_key(page(1, static_cast<std::uint32_t>(random()))));
  const std::string filter = build_filter(hashes);
  ASSERT_TRUE(is_filter(filter));
  for (const auto hash : hashes) ASSERT_TRUE(filter_may_contain(filter, hash));
  int claimed = 0;
  for (std::uint32_t i = 0; i < 10000; ++i) {
    if (filter_may_contain(filter, hash_key(encode_key(page(2, i))))) ++claimed;
  }
  EXPECT_LT(claimed, 300);
}

TEST(StoreFormat, ABlockReadsBackAtItsPlaceOnly) {
  BlockEncoder encoder(1);
  BlockDecoder decoder;
  for (const std::string& content : {std::string(), std::string("x"), std::string(100000, 'y')}) {
    std::string stored;
    encoder.encode(content).append_to(stored, 1000);
    EXPECT_EQ(decoder.decode(as_bytes(stored), "f", 1000), content);
    EXPECT_THROW((void)decoder.decode(as_bytes(stored), "f", 1001), StoreError);
    EXPECT_THROW((void)decoder.decode(as_bytes(stored).first(stored.size() - 1), "f", 1000), StoreError);
  }
}

TEST(StoreFormat, AnIndexBlockFindsEachOfItsEntries) {
  const LsnRange lsns{.begin = 100, .end = 200};
  IndexBlockBuilder builder(lsns);
  std::vector<IndexEntry> entries;
  BlockHandle block{.offset = 32, .size = 500};
  std::uint32_t offset = 0;
  for (std::uint32_t i = 0; i < 20; ++i) {
    for (Lsn lsn = 199; lsn > 100; lsn -= 1 + i) {
      if (offset > 1000) {
        block = {.offset = block.offset + block.size, .size = block.size + 1};
        offset = 0;
      }
      IndexEntry entry;
      entry.key = encode_key(page(1, i));
      entry.lsn = lsn;
      entry.sequence = i % 3;
      entry.type = EntryType::kRecord;
      entry.base = lsn % 5 == 0;
      entry.value_bytes = 20 + i;
      entry.block = block;
      entry.value_offset = offset;
      offset += entry.value_bytes;
      entries.push_back(entry);
      builder.add(entry);
    }
  }
  const std::string content = builder.finish();
  EXPECT_TRUE(builder.empty());
  IndexBlockCursor cursor(content, lsns, "f", 0);
  cursor.seek_first();
  for (const IndexEntry& entry : entries) {
    ASSERT_TRUE(cursor.valid());
    EXPECT_EQ(cursor.entry().value_offset, entry.value_offset);
    EXPECT_EQ(cursor.entry().block.offset, entry.block.offset);
    EXPECT_EQ(cursor.entry().block.size, entry.block.size);
    EXPECT_EQ(cursor.entry().base, entry.base);
    EXPECT_EQ(cursor.entry().sequence, entry.sequence);
    cursor.next();
  }
  EXPECT_FALSE(cursor.valid());
  for (const IndexEntry& entry : entries) {
    cursor.seek(entry.key, entry.lsn);
    ASSERT_TRUE(cursor.valid());
    EXPECT_EQ(cursor.entry().lsn, entry.lsn);
    EXPECT_EQ(cursor.entry().key, entry.key);
    EXPECT_EQ(cursor.entry().value_offset, entry.value_offset);
  }
  cursor.seek(encode_key(page(2, 0)), 150);
  EXPECT_FALSE(cursor.valid());
}

class StoreManifest : public ::testing::Test {
 protected:
  StoreManifest() {
    ManifestState state;
    state.identity = {.system_identifier = 9, .timeline = 2};
    add(state.as_edit());
    for (std::uint64_t number = 1; number <= 3; ++number) {
      ManifestEdit edit;
      edit.flushed = number * 10;
      Layer layer;
      layer.number = number;
      layer.info.lsns = {.begin = number, .end = number + 1};
      layer.info.entries = 0x0101010101010101;  // no zero at the end, which a tail of zeroes would complete
      edit.added = {layer};
      add(edit);
    }
  }
  void add(const ManifestEdit& edit) {
    begins_.push_back(content_.size());
    content_ += frame_edit(encode_edit(edit), content_.size());
  }
  [[nodiscard]] Lsn flushed(const std::string& content) const {
    return decode_manifest(as_bytes(content), "MANIFEST").flushed;
  }

  std::string content_ = encode_manifest_header();
  std::vector<std::size_t> begins_;
};

TEST_F(StoreManifest, EditsAddUp) {
  ManifestEdit edit;
  edit.horizon = Horizon{.lsn = 5, .time = -7};
  edit.removed = {2};
  edit.next_number = 44;
  add(edit);
  const ManifestState state = decode_manifest(as_bytes(content_), "MANIFEST");
  EXPECT_EQ(state.identity.system_identifier, 9U);
  EXPECT_EQ(state.identity.timeline, 2U);
  EXPECT_EQ(state.horizon.lsn, 5U);
  EXPECT_EQ(state.horizon.time, -7);
  EXPECT_EQ(state.flushed, 30U);
  EXPECT_EQ(state.next_number, 44U);
  EXPECT_EQ(state.layers.size(), 2U);
}

TEST_F(StoreManifest, ATornTailIsDroppedWhereverItIsTorn) {
  for (std::size_t size = begins_[3]; size < content_.size(); ++size) {
    EXPECT_EQ(flushed(content_.substr(0, size)), 20U);
    EXPECT_EQ(flushed(content_.substr(0, size) + std::string(content_.size() - size, '\0')), 20U);
  }
  EXPECT_EQ(flushed(content_ + std::string(5000, '\0')), 30U);
}

TEST_F(StoreManifest, ADamagedEditInTheMiddleIsAnError) {
  for (std::size_t i = 0; i < begins_[3]; ++i) {
    std::string damaged = content_;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
    EXPECT_THROW((void)flushed(damaged), StoreError) << i;
  }
  EXPECT_THROW((void)flushed(content_.substr(0, begins_[1] - 1)), StoreError);
  EXPECT_THROW((void)flushed(""), StoreError);
}

TEST_F(StoreManifest, AnUnknownVersionIsNamed) {
  std::string newer = "STRMANIF";
  put_u32(newer, 2);
  put_u64(newer, checksum(as_bytes(newer)));
  try {
    (void)flushed(newer);
    FAIL();
  } catch (const StoreError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kVersion);
  }
}

}  // namespace
}  // namespace strata::testing
