// The versioned set of layers: what a reader uses stays, what nobody uses goes.
#include <gtest/gtest.h>
#include <unistd.h>

#include "store/manifest_owner.h"
#include "store/layer_writer.h"
#include "store_fault_env.h"
#include "store_testing.h"

namespace strata::testing {
namespace {

class StoreManifestOwner : public ::testing::Test {
 protected:
  StoreManifestOwner() {
    ManifestOwner::create(env_, "store", {.system_identifier = 1, .timeline = 1});
    manifest_ = std::make_unique<ManifestOwner>(env_, "store", region_.shared());
    manifest_->apply(
        {.identity = {}, .horizon = {}, .flushed = 100, .next_number = {}, .added = {}, .removed = {}, .proofs = {}});
    region_.shared().set_visible_lsn(100);
  }

  Layer write_layer(Lsn lsn, const std::string& value) {
    LayerWriter writer(env_, "store", manifest_->take_number(), false, 0, {.begin = lsn, .end = lsn + 1}, {});
    writer.add(image(page(1, 0), lsn, value).entry(), 0);
    const Layer layer = writer.finish();
    env_.sync_directory("store");
    return layer;
  }
  void replace(std::vector<std::uint64_t> removed, std::vector<Layer> added) {
    ManifestEdit edit;
    edit.removed = std::move(removed);
    edit.added = std::move(added);
    manifest_->apply(edit);
  }
  bool there(const Layer& layer) { return env_.exists("store/" + layer.info.name); }

  FaultEnv env_;
  Region region_;
  std::unique_ptr<ManifestOwner> manifest_;
};

TEST_F(StoreManifestOwner, AReplacedFileGoesWhenNoReaderUsesItsVersion) {
  const Layer a = write_layer(10, "a long value that is not inline");
  replace({}, {a});
  Reader reader(env_, "store", &region_.shared());
  Reader idle(env_, "store", &region_.shared());
  EXPECT_EQ(idle.newest(page(1, 0), 100)->value.view(), "a long value that is not inline");
  const Layer b = write_layer(10, "b");
  reader.history(page(1, 0), 100, 0, [&](const Version&) {
    replace({a.number}, {b});
    manifest_->remove_obsolete_files();
    EXPECT_TRUE(there(a)) << "a call is under way";
    return false;
  });
  manifest_->remove_obsolete_files();
  EXPECT_FALSE(there(a)) << "between calls a reader keeps nothing";
  EXPECT_TRUE(there(b));
  EXPECT_EQ(manifest_->obsolete_files(), 0U);
  EXPECT_EQ(reader.newest(page(1, 0), 100)->value.view(), "b");
  EXPECT_EQ(idle.newest(page(1, 0), 100)->value.view(), "b");
}

TEST_F(StoreManifestOwner, AReaderThatIsGoneKeepsNothing) {
  const Layer a = write_layer(10, "a");
  replace({}, {a});
  { Reader reader(env_, "store", &region_.shared()); }
  replace({a.number}, {});
  manifest_->remove_obsolete_files();
  EXPECT_FALSE(there(a));
}

TEST_F(StoreManifestOwner, AVisitorOfHistoryKeepsTheFilesThatItWalksThrough) {
  const Layer a = write_layer(10, std::string(100, 'a'));
  const Layer b = write_layer(20, std::string(100, 'b'));
  replace({}, {a, b});
  Reader reader(env_, "store", &region_.shared());
  std::string seen;
  reader.history(page(1, 0), 100, 0, [&](const Version& version) {
    seen += version.value[0];
    if (seen == "b") replace({a.number}, {});
    manifest_->remove_obsolete_files();
    EXPECT_EQ(reader.chain(page(1, 0), 15).size(), 0U);
    EXPECT_TRUE(there(a));
    return true;
  });
  EXPECT_EQ(seen, "ba");
  EXPECT_EQ(reader.chain(page(1, 0), 15).size(), 0U);
  manifest_->remove_obsolete_files();
  EXPECT_FALSE(there(a));
}

TEST_F(StoreManifestOwner, WithoutAFreeSlotAReaderStillWorks) {
  const Layer a = write_layer(10, "a");
  replace({}, {a});
  for (int i = 0; i < SharedStore::kReaderSlots; ++i) ASSERT_GE(region_.shared().take_reader_slot(), 0);
  EXPECT_EQ(region_.shared().take_reader_slot(), -1);
  Reader reader(env_, "store", &region_.shared());
  EXPECT_EQ(reader.newest(page(1, 0), 100)->value.view(), "a");
  replace({a.number}, {write_layer(10, "b")});
  env_.remove("store/" + a.info.name);
  EXPECT_EQ(reader.newest(page(1, 0), 100)->value.view(), "b");
  for (int i = 0; i < SharedStore::kReaderSlots; ++i) region_.shared().release_reader_slot(i);
}

TEST_F(StoreManifestOwner, AProcessGivesBackAllItsSlotsAtOnce) {
  SharedStore& shared = region_.shared();
  const auto reader = std::make_unique<Reader>(env_, "store", &shared);
  const int slot = shared.take_reader_slot();
  const std::uint64_t version = shared.pin_layer_map(slot);
  EXPECT_EQ(shared.owner_of_slot(slot), getpid());
  EXPECT_EQ(shared.oldest_version_in_use(), version);
  shared.release_slots();
  for (int i = 0; i < SharedStore::kReaderSlots; ++i) EXPECT_EQ(shared.owner_of_slot(i), 0);
  EXPECT_GT(shared.oldest_version_in_use(), version);
  // What is destroyed later lets those alone who have its slot now.
  shared.release_reader_slot(slot);
  EXPECT_EQ(shared.take_reader_slot(), 0);
}

TEST_F(StoreManifestOwner, OpeningKeepsStrayFilesThatAReaderMayUse) {
  const Layer a = write_layer(10, "a");
  replace({}, {a});
  Reader reader(env_, "store", &region_.shared());
  const Layer stray = write_layer(20, "never named");
  reader.history(page(1, 0), 100, 0, [&](const Version&) {
    replace({a.number}, {});
    manifest_ = std::make_unique<ManifestOwner>(env_, "store", region_.shared());
    manifest_->remove_obsolete_files();
    EXPECT_TRUE(there(a));
    // The number of a file that waits is not given out again.
    EXPECT_GT(manifest_->take_number(), stray.number);
    return false;
  });
  EXPECT_FALSE(reader.newest(page(1, 0), 100).has_value());
  manifest_->remove_obsolete_files();
  EXPECT_FALSE(there(a));
  EXPECT_FALSE(there(stray));
}

TEST_F(StoreManifestOwner, TheFilesOfARunningMergeAreNoOrphans) {
  region_.shared().set_merge_floor(manifest_->take_number());
  LayerWriter writer(env_, "store", manifest_->take_number(), false, 1, {.begin = 10, .end = 11}, {});
  writer.add(image(page(1, 0), 10, "of a merge").entry(), 0);
  const Layer merged = writer.finish();
  const Layer stray = write_layer(20, "never named");
  manifest_ = std::make_unique<ManifestOwner>(env_, "store", region_.shared());
  manifest_->remove_obsolete_files();
  EXPECT_TRUE(there(merged));
  EXPECT_FALSE(there(stray));
  region_.shared().set_merge_floor(0);
  manifest_ = std::make_unique<ManifestOwner>(env_, "store", region_.shared());
  manifest_->remove_obsolete_files();
  EXPECT_FALSE(there(merged));
}

TEST_F(StoreManifestOwner, LayersWhoseManifestIsGoneAreNoOrphansOfANewStore) {
  const Layer layer = write_layer(10, "a");
  replace({}, {layer});
  env_.remove("store/MANIFEST");
  try {
    ManifestOwner::create(env_, "store", {.system_identifier = 1, .timeline = 1});
    FAIL() << "a new store took the place of another one";
  } catch (const StoreError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kCorrupt);
    EXPECT_NE(std::string(error.what()).find(layer.info.name), std::string::npos) << error.what();
  }
  EXPECT_FALSE(ManifestOwner::exists(env_, "store"));
  EXPECT_TRUE(there(layer));
}

TEST_F(StoreManifestOwner, ImpossibleEditsAreRefusedAndChangeNothing) {
  const Layer a = write_layer(10, "a");
  replace({}, {a});
  EXPECT_THROW(replace({}, {a}), StoreError);
  EXPECT_THROW(replace({a.number + 100}, {}), StoreError);
  EXPECT_EQ(manifest_->state().layers.size(), 1U);
}

TEST_F(StoreManifestOwner, AManifestThatHasGrownIsRewritten) {
  for (int i = 0; i < 2000; ++i) {
    const Layer layer = write_layer(10, "a");
    replace({}, {layer});
    replace({layer.number}, {});
    manifest_->remove_obsolete_files();
  }
  const std::size_t grown = env_.content("store/MANIFEST").size();
  EXPECT_LT(grown, 300000U);
  EXPECT_EQ(read_manifest(env_, "store").next_number, manifest_->state().next_number);
}

}  // namespace
}  // namespace strata::testing
