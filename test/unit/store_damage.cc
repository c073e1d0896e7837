// A damaged layer takes away only the moments that need what is damaged.
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <random>

#include "eyes.h"
#include "store/layer_format.h"
#include "store/time_marks.h"
#include "store_fault_env.h"
#include "store_testing.h"

namespace strata::testing {
namespace {

constexpr std::uint32_t kPages = 4;
constexpr std::uint32_t kRounds = 6;

enum class Damage { kHeader, kFilter, kIndex, kValues, kFooter, kTruncated, kMissing };
constexpr Damage kDamages[] = {Damage::kHeader, Damage::kFilter,    Damage::kIndex,  Damage::kValues,
                               Damage::kFooter, Damage::kTruncated, Damage::kMissing};

// Round n ends at LSN 1000 * n. It has an image of each page, a mark and a status, in a layer of its own.
Lsn lsn_of(std::uint32_t round) { return Lsn{1000} * round; }
std::int64_t time_of(std::uint32_t round) { return std::int64_t{1'000'000} * round; }
// Does not compress, so that blocks of values are large and come first in their file.
std::string page_of(std::uint32_t round, std::uint32_t block) {
  std::minstd_rand random(round * kPages + block + 1);
  std::string bytes(3000, '\0');
  for (char& c : bytes) c = static_cast<char>(random() >> 8);
  return bytes;
}

class StoreDamage : public ::testing::Test {
 protected:
  StoreDamage() {
    Writer::create_store(env_, "store", {.system_identifier = 1, .timeline = 1});
    writer_ = std::make_unique<Writer>(env_, "store", region_.shared());
    for (std::uint32_t round = 1; round <= kRounds; ++round) {
      const Lsn lsn = lsn_of(round);
      std::vector<OwnedEntry> entries;
      for (std::uint32_t block = 0; block < kPages; ++block) {
        entries.push_back(image(page(1, block), lsn, page_of(round, block)));
      }
      entries.push_back(value(time_mark_key(time_of(round)), lsn, "12345678"));
      put(*writer_, entries, lsn);
      writer_->publish(lsn);
      if (round < kRounds) writer_->flush();
    }
  }

  std::string path_of_layer(std::uint32_t round) {
    for (const LayerInfo& layer : writer_->layers()) {
      if (layer.lsns.begin <= lsn_of(round) && lsn_of(round) < layer.lsns.end) return "store/" + layer.name;
    }
    throw std::runtime_error("no layer of round " + std::to_string(round));
  }

  void damage(const std::string& path, Damage kind) {
    std::string& bytes = env_.content(path);
    const auto flip = [&](std::size_t at) { bytes.at(at) = static_cast<char>(bytes.at(at) ^ 0x10); };
    Layer seen;
    const LayerFooter ends = read_layer_ends(*env_.open(path), bytes.size(), path, seen);
    switch (kind) {
      case Damage::kHeader:
        flip(20);
        break;
      case Damage::kFilter:
        flip(ends.filter.offset + 2);
        break;
      case Damage::kIndex:
        flip(ends.top.offset + 2);
        break;
      case Damage::kValues:
        flip(kLayerHeaderBytes + 50);
        break;
      case Damage::kFooter:
        flip(bytes.size() - 5);
        break;
      case Damage::kTruncated:
        bytes.resize(bytes.size() / 2);
        break;
      case Damage::kMissing:
        env_.remove(path);
        break;
    }
  }

  FaultEnv env_;
  Region region_;
  std::unique_ptr<Writer> writer_;
};

template <class F>
bool fails(F&& f) {
  try {
    f();
    return false;
  } catch (const StoreError&) {
    return true;
  }
}

TEST_F(StoreDamage, TakesAwayOnlyTheMomentsThatNeedIt) {
  const auto sound = env_.save();
  for (const Damage kind : kDamages) {
    for (std::uint32_t damaged = 1; damaged < kRounds; ++damaged) {
      env_.load(sound);
      damage(path_of_layer(damaged), kind);
      for (std::uint32_t round = 1; round <= kRounds; ++round) {
        SCOPED_TRACE(::testing::Message()
                     << "damage " << static_cast<int>(kind) << " of round " << damaged << ", moment " << round);
        Reader reader(env_, "store", &region_.shared());
        // Values of pages are damaged, and a mark stands in the index.
        const bool index_is_needed = round == damaged && kind != Damage::kFilter;
        for (std::uint32_t block = 0; block < kPages; ++block) {
          Chain chain;
          const bool failed = fails([&] { chain = reader.chain(page(1, block), lsn_of(round)); });
          EXPECT_FALSE(failed && !index_is_needed) << block;
          if (!failed) {
            ASSERT_EQ(chain.size(), 1U);
            EXPECT_TRUE(chain[0].value == page_of(round, block));
          }
        }
        std::optional<TimeMark> mark;
        const bool mark_failed = fails([&] { mark = newest_mark_by_lsn(reader, lsn_of(round)); });
        EXPECT_FALSE(mark_failed && (!index_is_needed || kind == Damage::kValues));
        if (!mark_failed) {
          ASSERT_TRUE(mark);
          EXPECT_EQ(mark->time, time_of(round));
        }
        // The first one that is later than this moment's.
        std::optional<std::pair<Key, Version>> later;
        const Key last = time_mark_key(std::numeric_limits<std::int64_t>::max());
        const bool later_failed = fails([&] { later = reader.first_mark_in(time_mark_key(time_of(round) + 1), last); });
        EXPECT_FALSE(later_failed && round + 1 != damaged && round != damaged);
        if (!later_failed) {
          ASSERT_EQ(later.has_value(), round < kRounds);
          if (later) {
            EXPECT_EQ(time_of_mark(later->first), time_of(round + 1));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace strata::testing
