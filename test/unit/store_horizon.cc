// Where a horizon may be: how much of history lies before an LSN, and which commit was the last one before it.
#include <gtest/gtest.h>

#include <limits>

#include "eyes.h"
#include "store/time_marks.h"
#include "store/gc_plan.h"
#include "store_fault_env.h"
#include "store_testing.h"

namespace strata::testing {
namespace {

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

TEST(TimeMarks, AreFoundWithoutReadingTheNewerOnes) {
  FaultEnv env;
  Region region(std::size_t{1} << 23);
  Writer::create_store(env, "store", {.system_identifier = 1, .timeline = 1});
  Writer writer(env, "store", region.shared(), {});
  for (Lsn lsn = 1000; lsn < 21'000; ++lsn) {
    put(writer, {value(time_mark_key(static_cast<std::int64_t>(lsn)), lsn, "12345678")}, lsn);
  }
  writer.publish(20'999);
  writer.flush();
  Reader reader(env, "store", &region.shared());
  EXPECT_EQ(newest_mark_by_lsn(reader, 1002)->lsn, 1002U);
  EXPECT_EQ(newest_mark_by_lsn(reader, 11'002)->lsn, 11'002U);
  // One for each step of the search at most, not all that the newer marks lie in.
  EXPECT_LT(reader.counters().blocks, 30U);
}

TEST(TimeMarks, AreFoundByTimeAndByLsn) {
  FaultEnv env;
  Region region(std::size_t{1} << 18);
  Writer::create_store(env, "store", {.system_identifier = 1, .timeline = 1});
  Writer writer(env, "store", region.shared(), {});
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

TEST(TimeMarks, TheLastTransactionEndCountsCommitsThatCameOutOfOrder) {
  FaultEnv env;
  Region region(std::size_t{1} << 18);
  Writer::create_store(env, "store", {.system_identifier = 1, .timeline = 1});
  Writer writer(env, "store", region.shared(), {});
  Reader reader(env, "store", &region.shared());
  const auto end_at = [&](Lsn at) { return last_transaction_end(reader, newest_mark_by_lsn(reader, at), at); };
  const auto status = [](std::uint32_t page, Lsn lsn) {
    OwnedEntry owned = value({.kind = KeyKind::kCommitLog, .block = page}, lsn, std::string(1, '\1') + "1234");
    owned.type = EntryType::kXidStatus;
    owned.base = false;
    return owned;
  };
  for (const bool flushed : {false, true}) {
    const Lsn base = flushed ? 2000 : 1000;
    put(writer, {value(time_mark_key(static_cast<std::int64_t>(base)), base, "12345678"), status(0, base)}, base);
    // A page of the commit log begins: no transaction ended there.
    OwnedEntry zeroes =
        value({.kind = KeyKind::kCommitLog, .block = flushed ? 3U : 1U}, base + 10, std::string(8192, '\0'));
    zeroes.type = EntryType::kImage;
    put(writer, {zeroes}, base + 10);
    // These have earlier timestamps than the mark before them.
    put(writer, {status(0, base + 20)}, base + 20);
    put(writer, {status(1, base + 30)}, base + 30);
    put(writer, {value({.kind = KeyKind::kNextXid}, base + 40, "12345678")}, base + 40);
    writer.publish(base + 40);
    if (flushed) writer.flush();
  }
  EXPECT_EQ(end_at(999), kInvalidLsn);
  for (const Lsn base : {Lsn{1000}, Lsn{2000}}) {
    EXPECT_EQ(end_at(base), base);
    EXPECT_EQ(end_at(base + 19), base);
    EXPECT_EQ(end_at(base + 20), base + 20);
    EXPECT_EQ(end_at(base + 29), base + 20);
    EXPECT_EQ(end_at(base + 30), base + 30);
    EXPECT_EQ(end_at(base + 999), base + 30);
  }
}

}  // namespace
}  // namespace strata::testing
