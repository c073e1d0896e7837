// The formats, apart from the store.
#include <gtest/gtest.h>

#include "store/block.h"
#include "store/filter.h"
#include "store/index_block.h"
#include "store/manifest.h"
#include "store/top_index.h"
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
  const FilterShape shape = filter_shape(hashes.size());
  EXPECT_GT(shape.blocks, 1U);
  const std::string filter = build_filter(hashes, shape);
  const auto filter_may_contain = [&](std::uint64_t hash) {
    const std::size_t line = filter_line(hash, shape.all_lines()) * kFilterLineBytes;
    return line_may_contain(std::string_view(filter).substr(line, kFilterLineBytes), hash);
  };
  for (const auto hash : hashes) ASSERT_TRUE(filter_may_contain(hash));
  int claimed = 0;
  for (std::uint32_t i = 0; i < 10000; ++i) {
    if (filter_may_contain(hash_key(encode_key(page(2, i))))) ++claimed;
  }
  EXPECT_LT(claimed, 300);
}

std::string decoded(Bytes stored, std::uint64_t offset, const DecompressionDictionary* dictionary = nullptr) {
  static BlockDecoder decoder;
  const StoredBlock block = parse_block(stored, BlockForm::kCompact, "f", offset);
  return std::string(decoder.decode(block, dictionary, "f", offset).view());
}

TEST(StoreFormat, ABlockReadsBackAtItsPlaceOnly) {
  BlockEncoder encoder(1);
  for (const std::string& content : {std::string(), std::string("x"), std::string(100000, 'y')}) {
    const EncodedBlock block = encoder.encode(content);
    std::string stored;
    block.append_to(stored, 1000);
    EXPECT_EQ(stored.size(), block.stored_bytes());
    EXPECT_EQ(decoded(as_bytes(stored), 1000), content);
    EXPECT_THROW((void)decoded(as_bytes(stored), 1001), StoreError);
    EXPECT_THROW((void)decoded(as_bytes(stored).first(stored.size() - 1), 1000), StoreError);
  }
}

std::shared_ptr<const DecompressionDictionary> made_ready(const std::string& dictionary) {
  BlockContent content(dictionary.size());
  std::memcpy(content.data(), dictionary.data(), dictionary.size());
  return DecompressionDictionary::make(content.take(), dictionary.size());
}

// Text that repeats itself from block to block, and hardly within one.
std::string some_rows(std::mt19937_64& random) {
  std::string content;
  while (content.size() < 4000) {
    content +=
        "row " + std::to_string(random() % 100000) + ", a word " + std::to_string(random() % 64 * 1234567) + "; ";
  }
  return content;
}

TEST(StoreFormat, ABlockWithADictionaryIsSmallerAndNeedsIt) {
  std::mt19937_64 random(1);
  DictionarySamples samples;
  for (int i = 0; i < 200; ++i) samples.add(some_rows(random));
  const std::string dictionary = samples.train(16 * 1024);
  ASSERT_FALSE(dictionary.empty());
  EXPECT_LT(samples.compressed_bytes(dictionary), samples.compressed_bytes(""));
  const std::string content = some_rows(random);

  BlockEncoder encoder(3);
  const std::size_t without = encoder.encode(content).stored_bytes();
  encoder.use_dictionary(dictionary);
  const EncodedBlock block = encoder.encode(content);
  EXPECT_LT(block.stored_bytes(), without);
  std::string stored;
  block.append_to(stored, 77);
  EXPECT_EQ(decoded(as_bytes(stored), 77, made_ready(dictionary).get()), content);
  EXPECT_THROW((void)decoded(as_bytes(stored), 77), StoreError);
  encoder.use_dictionary("");
  EXPECT_EQ(encoder.encode(content).stored_bytes(), without);
}

TEST(StoreFormat, FewSamplesMakeNoDictionary) {
  DictionarySamples samples;
  EXPECT_EQ(samples.train(1024), "");
  samples.add("a");
  EXPECT_EQ(samples.train(1024), "");
}

TEST(StoreFormat, TheRootOfALayerReadsBack) {
  LayerFooter footer;
  footer.values_end = 1000;
  footer.filter = {.offset = 1000, .size = 2 * (7 + 128)};
  LayerRoot root;
  root.dictionaries = {{.offset = 32, .size = 100}, {.offset = 500, .size = 50}};
  root.filter = {.blocks = 2, .lines = 2};
  root.has_parts = true;
  const std::string content = encode_root(root);
  const LayerRoot read = decode_root(content, footer, "f");
  EXPECT_EQ(read.entries_begin, content.size());
  EXPECT_TRUE(read.has_parts);
  EXPECT_EQ(read.filter.all_lines(), 4U);
  EXPECT_EQ(read.dictionary_before(32).size, 0U);
  EXPECT_EQ(read.dictionary_before(500).offset, 32U);
  EXPECT_EQ(read.dictionary_before(501).offset, 500U);
  for (std::size_t size = 0; size < content.size(); ++size) {
    EXPECT_THROW((void)decode_root(content.substr(0, size), footer, "f"), StoreError) << size;
  }
  footer.values_end = 549;
  EXPECT_THROW((void)decode_root(content, footer, "f"), StoreError);
  footer.values_end = 550;
  footer.filter.size = 0;
  EXPECT_THROW((void)decode_root(content, footer, "f"), StoreError);
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

TEST_F(StoreManifest, TheLastProofsAreKept) {
  const auto proof = [](Lsn begin) {
    return JoinProof{.begin = begin, .end = begin + 50, .previous = begin - 1, .crc = 0xFFFFFFFF, .timeline = 3};
  };
  std::vector<JoinProof> last;
  for (Lsn begin = 100; begin < 100 + 2 * kMaxProofs; ++begin) {
    ManifestEdit edit;
    edit.proofs = {proof(begin)};
    add(edit);
    if (begin >= 100 + kMaxProofs) last.push_back(proof(begin));
  }
  EXPECT_EQ(decode_manifest(as_bytes(content_), "MANIFEST").proofs, last);
}

TEST_F(StoreManifest, AProofThatEndsBeforeItBeginsIsAnError) {
  ManifestEdit edit;
  edit.proofs = {{.begin = 50, .end = 50, .previous = 40, .crc = 1, .timeline = 1}};
  EXPECT_THROW((void)decode_edit(as_bytes(encode_edit(edit)), "MANIFEST", 0), StoreError);
  edit.proofs = {{.begin = 50, .end = 60, .previous = 50, .crc = 1, .timeline = 1}};
  EXPECT_THROW((void)decode_edit(as_bytes(encode_edit(edit)), "MANIFEST", 0), StoreError);
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
  put_u32(newer, 3);
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
