#include "travel/commit_times.h"

#include <algorithm>
#include <limits>

#include "pg/guard.h"
#include "pg/store_reader.h"
#include "store/time_marks.h"
#include "travel/read_meter.h"

namespace strata::travel {

namespace {

constexpr int kLargestPiece = 1024;
constexpr int kSmallestPiece = 16;

}  // namespace

// Marks that follow each other: of a question, and of those that may come next.
struct CommitTimes {
  TimeMark marks[kLargestPiece];
  int count;
  XLogRecPtr next;  // where the mark after them is; invalid: history has none
  int piece;        // how many are read at once
};

namespace {

bool holds(const CommitTimes& times, XLogRecPtr lsn) {
  return times.count > 0 && times.marks[0].lsn <= lsn && (times.next == InvalidXLogRecPtr || lsn < times.next);
}

// Reads the mark of `lsn` and those after it. False where history holds none.
bool read_from(CommitTimes* times, XLogRecPtr lsn) {
  // More at once, where a question goes on where the last piece ended.
  const bool goes_on =
      times->count > 0 && lsn >= times->next && lsn < times->next + (times->next - times->marks[0].lsn);
  times->piece = goes_on ? std::min(times->piece * 4, kLargestPiece) : kSmallestPiece;
  times->count = 0;
  times->next = InvalidXLogRecPtr;
  Reader& reader = pg::store_reader();
  pg::guarded([&] {
    const ReadMeter meter(reader, KeyKind::kTimeMark);
    const auto mark = newest_mark_by_lsn(reader, lsn);
    if (!mark) return;
    constexpr TimestampTz kLast = std::numeric_limits<TimestampTz>::max();
    reader.scan(time_mark_key(mark->time), time_mark_key(kLast), kMaxLsn, [&](const Key& key, const Version& version) {
      if (times->count == times->piece) {
        times->next = version.lsn;
        return false;
      }
      times->marks[times->count++] = {.time = time_of_mark(key), .lsn = version.lsn};
      return true;
    });
  });
  return times->count > 0;
}

}  // namespace

CommitTimes* open_commit_times() { return static_cast<CommitTimes*>(palloc0(sizeof(CommitTimes))); }

TimestampTz commit_time(CommitTimes* times, XLogRecPtr lsn) {
  if (!holds(*times, lsn) && !read_from(times, lsn)) return 0;
  const TimeMark* begin = times->marks;
  const TimeMark* after = std::upper_bound(begin, begin + times->count, lsn,
                                           [](XLogRecPtr at, const TimeMark& mark) { return at < mark.lsn; });
  return after[-1].time;
}

}  // namespace strata::travel
