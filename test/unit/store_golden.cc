// Stores that earlier versions have written are read by this one, and go on.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "golden.h"
#include "store/compactor.h"
#include "store/manifest.h"
#include "store/top_index.h"
#include "store/verify.h"
#include "store_fault_env.h"
#include "store_testing.h"

namespace strata::testing {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> golden_stores() {
  std::vector<std::string> stores;
  for (const auto& entry : fs::directory_iterator(STRATA_GOLDEN)) {
    if (entry.is_directory()) stores.push_back(entry.path().filename());
  }
  std::sort(stores.begin(), stores.end());
  return stores;
}

std::string content_of(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

bool has_moved_hunk(std::string_view diff) {
  constexpr unsigned kMoved = 0x8000;
  for (std::size_t at = 0; at + 4 <= diff.size();) {
    std::uint16_t length = 0;
    std::memcpy(&length, diff.data() + at + 2, sizeof length);
    if ((length & kMoved) != 0) return true;
    at += 4 + length;
  }
  return false;
}

bool has_dictionary(const std::string& directory, const std::vector<LayerInfo>& layers) {
  return std::any_of(layers.begin(), layers.end(), [&](const LayerInfo& info) {
    const std::string content = content_of(fs::path(directory) / info.name);
    Layer layer;
    const LayerFooter ends =
        decode_layer_ends(as_bytes(content).first(kLayerHeaderBytes), as_bytes(content).last(kLayerFooterBytes),
                          info.name, content.size(), layer);
    BlockDecoder decoder;
    ReadAhead file(posix_env().open(directory + "/" + info.name));
    const BlockContent root = BlockSource(file, info.name, ends.block_form(), decoder).read(ends.top);
    return !decode_root(root.view(), ends, info.name).dictionaries.empty();
  });
}

class Golden : public ::testing::TestWithParam<std::string> {
 protected:
  Golden() : directory_(std::string(STRATA_GOLDEN) + "/" + GetParam()) {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(directory_)) {
      files["store/" + entry.path().filename().string()] = content_of(entry.path());
    }
    env_.load(files);
  }

  [[nodiscard]] std::string expected(const char* file) const { return content_of(fs::path(directory_) / file); }

  std::string directory_;
  FaultEnv env_;  // a copy
  Region region_;
};

TEST_P(Golden, IsReadVersionByVersion) {
  Reader reader(posix_env(), directory_, nullptr);
  const GoldenDigest digest = digest_of(reader, golden_lsns());
  EXPECT_EQ(digest.versions, expected("versions.txt"));
  EXPECT_EQ(digest.states, expected("states.txt"));
}

TEST_P(Golden, IsSound) {
  Verifier verifier(posix_env(), directory_, nullptr);
  int layers = 0;
  while (const auto file = verifier.next()) {
    if (file->name.ends_with(".txt")) continue;  // what the test expects
    EXPECT_EQ(file->problem, "") << file->name;
    layers += file->level >= 0 ? 1 : 0;
  }
  EXPECT_GT(layers, 3);
}

TEST_P(Golden, HoldsEveryKindOfKeyTypeOfEntryAndLayer) {
  Reader reader(posix_env(), directory_, nullptr);
  std::set<int> kinds;
  std::set<int> types;
  bool moves = false;
  for (const Key& key : all_keys(reader)) {
    kinds.insert(static_cast<int>(key.kind));
    reader.history(key, kMaxLsn, kInvalidLsn, [&](const Version& version) {
      types.insert(static_cast<int>(version.type));
      moves = moves || (version.type == EntryType::kPageDiff && has_moved_hunk(version.value));
      return true;
    });
  }
  for (int kind = static_cast<int>(KeyKind::kPage); kind <= static_cast<int>(KeyKind::kTablespace); ++kind) {
    EXPECT_TRUE(kinds.contains(kind)) << kind;
  }
  for (int type = static_cast<int>(EntryType::kValue); type <= static_cast<int>(EntryType::kPageDiff); ++type) {
    EXPECT_TRUE(types.contains(type)) << type;
  }
  // Both are younger than the first store.
  EXPECT_EQ(moves, GetParam() != "v1");
  // The third store is there for its manifest; its layers are too small for a dictionary to pay.
  EXPECT_EQ(has_dictionary(directory_, reader.layers()), GetParam() == "v2");
  EXPECT_EQ(read_manifest(posix_env(), directory_).proofs.size(), GetParam() < "v3" ? 0 : kMaxProofs);
  std::set<std::pair<bool, int>> layers;
  for (const LayerInfo& layer : reader.layers()) layers.insert({layer.image, layer.level});
  for (const auto& one : std::set<std::pair<bool, int>>{{true, 1}, {false, 0}, {false, 1}, {false, 2}}) {
    EXPECT_TRUE(layers.contains(one)) << one.first << " " << one.second;
  }
}

// This version writes on: what was asked before is answered as before, merged or not.
TEST_P(Golden, GoesOn) {
  Writer writer(env_, "store", region_.shared());
  EXPECT_EQ(writer.identity().system_identifier, 7'000'000'000'000'000'001U);
  EXPECT_EQ(writer.horizon().lsn, 1005U);
  GoldenRebuilder rebuilder;
  CompactorOptions options;
  options.flushed_fan_in = options.fan_in = 2;
  Compactor compactor(env_, "store", region_.shared(), rebuilder, options);
  Lsn end = 10'000;
  int merges = 0;
  for (int round = 0; round < 8; ++round) {
    end += 10;
    put(writer, {record(page(16384, 1), end, std::string("\x10\x00new", 5))}, end);
    writer.publish(end);
    writer.flush();
    while (compactor.merge()) {
      ASSERT_TRUE(writer.serve_compactor());
      ++merges;
    }
  }
  EXPECT_GT(merges, 4);
  Reader reader(env_, "store", &region_.shared());
  EXPECT_EQ(digest_of(reader, golden_lsns()).states, expected("states.txt"));
  EXPECT_EQ(reader.newest(page(16384, 1), kMaxLsn)->lsn, end);
}

INSTANTIATE_TEST_SUITE_P(Stores, Golden, ::testing::ValuesIn(golden_stores()));

}  // namespace
}  // namespace strata::testing
