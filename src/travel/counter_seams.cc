// What a travelling session learns from PostgreSQL's counters: the next transaction, the next multixact, how far WAL
// has been replayed. Extensions read some of them without any function call (amcheck, to tell corruption), so the
// pointer to them is exchanged.
extern "C" {
#include "seams_includes.h"

#include "access/xlogrecovery.h"

#include "seams.h"
}

#include <algorithm>
#include <cstring>

#include "pg/guard.h"
#include "pg/shared_state.h"
#include "pg/store_reader.h"
#include "travel/history.h"
#include "travel/read_meter.h"
#include "travel/resolve.h"
#include "travel/session.h"

namespace strata::travel {

namespace {

TransamVariablesData* present_variables = nullptr;
TransamVariablesData past_variables;

// Multixacts that concurrent sessions have taken numbers for may be in WAL in any order.
constexpr MultiXactId kOutOfOrder = 1024;

constexpr Key kCheckpointKey{KeyKind::kCheckpoint, 0, 0, 0, 0, 0};

CheckPoint parse_checkpoint(const Version& version) {
  CheckPoint checkpoint;
  if (version.value.size() != sizeof(checkpoint)) {
    throw StoreError(ErrorKind::kCorrupt, "a checkpoint in the store has a wrong size");
  }
  std::memcpy(&checkpoint, version.value.data(), sizeof(checkpoint));
  return checkpoint;
}

CheckPoint checkpoint_at(Reader& reader, XLogRecPtr at) {
  const auto version = reader.newest(kCheckpointKey, at);
  if (!version) throw StoreError(ErrorKind::kCorrupt, "the store knows no checkpoint");
  return parse_checkpoint(*version);
}

// MultiXactId 0 is invalid.
MultiXactId advance(MultiXactId multixact, std::uint64_t count) {
  const std::uint64_t sum = multixact + count;
  return static_cast<MultiXactId>(sum > MaxMultiXactId ? sum - MaxMultiXactId : sum);
}

Key multixact_key(MultiXactId multixact) { return Key{KeyKind::kMultiXact, 0, 0, 0, 0, multixact}; }

// A checkpoint's next multixact, and those that WAL has created since. They have no holes, but where sessions created
// some at the same time.
MultiXactId next_multixact(Reader& reader, const CheckPoint& checkpoint, XLogRecPtr at) {
  // The checkpoint says 0 where the last one before the wraparound has been taken.
  const MultiXactId start = std::max(checkpoint.nextMulti, FirstMultiXactId);
  const auto exists = [&](std::uint64_t count) {
    const Key key = multixact_key(advance(start, count));
    return reader.newest(key, at, checkpoint.redo).has_value();
  };
  std::uint64_t below = 0;
  std::uint64_t above = 1;
  if (exists(0)) {
    while (exists(above)) {
      below = above;
      above *= 2;
    }
    while (above - below > 1) {
      const std::uint64_t middle = below + (above - below) / 2;
      (exists(middle) ? below : above) = middle;
    }
  } else {
    above = 0;
  }
  MultiXactId next = advance(start, above);
  const auto skip_holes = [&](MultiXactId first, MultiXactId last) {
    reader.scan(
        multixact_key(first), multixact_key(last), at,
        [&](const Key& key, const Version&) {
          next = advance(key.block, 1);
          return true;
        },
        checkpoint.redo);
  };
  const MultiXactId last = advance(next, kOutOfOrder);
  if (last > next) {
    skip_holes(next, last);
  } else {
    skip_holes(next, MaxMultiXactId);
    skip_holes(FirstMultiXactId, last);
  }
  return next;
}

MultiXactId read_next_multixact() { return current_moment().counters.next_multixact; }

void read_multixact_range(MultiXactId* oldest, MultiXactId* next) {
  *oldest = current_moment().counters.oldest_multixact;
  *next = current_moment().counters.next_multixact;
}

// "Replayed" up to the moment: what reads WAL (pg_walinspect) ends there.
XLogRecPtr replayed_lsn(TimeLineID* timeline) {
  if (timeline != nullptr) *timeline = GetWALInsertionTimeLine();
  return current_moment().lsn;
}

TimestampTz latest_replayed_time() { return last_commit_at(current_moment().lsn); }

}  // namespace

Counters counters_at(XLogRecPtr at) {
  Counters counters;
  counters.next_xid = U64FromFullTransactionId(next_xid_at(at));
  Reader& reader = pg::store_reader();
  pg::guarded([&] {
    const ReadMeter meter(reader, KeyKind::kCheckpoint);
    const CheckPoint checkpoint = checkpoint_at(reader, at);
    counters.oldest_xid = checkpoint.oldestXid;
    counters.oldest_multixact = checkpoint.oldestMulti;
    counters.oldest_active_xid = checkpoint.oldestActiveXid;
    counters.next_multixact = next_multixact(reader, checkpoint, at);
  });
  return counters;
}

TransactionId next_xid_at_last_start(XLogRecPtr at) {
  TransactionId next = InvalidTransactionId;
  Reader& reader = pg::store_reader();
  pg::guarded([&] {
    const ReadMeter meter(reader, KeyKind::kCheckpoint);
    reader.history(kCheckpointKey, at, InvalidXLogRecPtr, [&](const Version& version) {
      const CheckPoint checkpoint = parse_checkpoint(version);
      if (TransactionIdIsValid(checkpoint.oldestActiveXid)) return true;
      next = XidFromFullTransactionId(checkpoint.nextXid);
      return false;
    });
  });
  return next;
}

void show_counters_of_moment() { TransamVariables = &past_variables; }

void show_counters_of_present() { TransamVariables = present_variables; }

void install_counter_seams(bool travel) {
  if (present_variables == nullptr) present_variables = TransamVariables;
  if (travel) {
    const Counters& counters = current_moment().counters;
    past_variables = TransamVariablesData{};
    past_variables.nextXid = FullTransactionIdFromU64(counters.next_xid);
    past_variables.latestCompletedXid = past_variables.nextXid;
    FullTransactionIdRetreat(&past_variables.latestCompletedXid);
    past_variables.oldestXid = counters.oldest_xid;
    past_variables.oldestClogXid = counters.oldest_xid;
    past_variables.xactCompletionCount = 1;
    show_counters_of_moment();
  } else {
    show_counters_of_present();
  }
  strata_seams.ReadNextMultiXactId = travel ? read_next_multixact : nullptr;
  strata_seams.ReadMultiXactIdRange = travel ? read_multixact_range : nullptr;
  strata_seams.GetXLogReplayRecPtr = travel ? replayed_lsn : nullptr;
  strata_seams.GetLatestXTime = travel ? latest_replayed_time : nullptr;
}

}  // namespace strata::travel
