#include "workers/retention.h"

extern "C" {
#include "postgres.h"

#include "access/multixact.h"
#include "catalog/pg_control.h"
#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
}

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "ingest/keys.h"
#include "pg/guard.h"
#include "pg/shared_state.h"
#include "pg/store_reader.h"
#include "store/time_marks.h"
#include "store/gc_plan.h"
#include "travel/lsn_lease.h"
#include "workers/process.h"
#include "workers/setting_units.h"

namespace strata::workers {
namespace {

constexpr std::int64_t kNoLimit = -1;
constexpr std::uint64_t kMegabyte = std::uint64_t{1} << 20;
// Between two looks; a longer retention time is looked after less often.
constexpr std::int64_t kShortestWait = USECS_PER_SEC;
constexpr std::int64_t kLongestWait = USECS_PER_MINUTE;

char* retention_time_text = nullptr;
char* retention_size_text = nullptr;
char* max_travel_age_text = nullptr;
char* grace_text = nullptr;

// Microseconds, kNoLimit for none.
std::int64_t retention_time = kNoLimit;
std::int64_t max_travel_age = USECS_PER_HOUR;
std::int64_t grace = USECS_PER_HOUR;
std::int64_t retention_size_mb = 0;
// Since when the two bounds are what they are; 0: since the server's start.
TimestampTz bounds_since = 0;

bool keep(std::int64_t value, void** extra) {
  auto* copy = static_cast<std::int64_t*>(guc_malloc(LOG, sizeof(value)));
  if (copy == nullptr) return false;
  *copy = value;
  *extra = copy;
  return true;
}

bool check_duration(char** value, void** extra, GucSource) {
  std::int64_t microseconds = 0;
  return parse_duration(*value, &microseconds) && keep(microseconds, extra);
}

bool check_size(char** value, void** extra, GucSource) {
  std::int64_t megabytes = 0;
  return parse_size(*value, &megabytes) && keep(megabytes, extra);
}

// Changes one of the two bounds. The first values are those of the start.
void change(std::int64_t* bound, const void* extra) {
  const std::int64_t value = *static_cast<const std::int64_t*>(extra);
  if (value == *bound) return;
  *bound = value;
  bounds_since = process_shared_preload_libraries_in_progress ? 0 : GetCurrentTimestamp();
}

void assign_retention_time(const char*, void* extra) { change(&retention_time, extra); }
void assign_retention_size(const char*, void* extra) { change(&retention_size_mb, extra); }
void assign_max_travel_age(const char*, void* extra) { max_travel_age = *static_cast<const std::int64_t*>(extra); }
void assign_grace(const char*, void* extra) { grace = *static_cast<const std::int64_t*>(extra); }

bool time_is_limited() { return retention_time > 0; }
bool size_is_limited() { return retention_size_mb > 0; }

// What history is at the moment, from the manifest.
struct History {
  Horizon horizon;
  Lsn flushed;
  HistorySize size;
};

// Bytes of history above the images that the size leaves room for. Images cannot go: with less room than this beside
// them, each of them would be written anew again and again for little.
std::uint64_t room_for_deltas(const HistorySize& size) {
  const std::uint64_t limit = static_cast<std::uint64_t>(retention_size_mb) * kMegabyte;
  const std::uint64_t least = size.images() / 8 + kMegabyte;
  if (limit >= size.images() + least) return limit - size.images();
  static std::int64_t warned_of = 0;
  if (warned_of != retention_size_mb) {
    warned_of = retention_size_mb;
    ereport(WARNING,
            (errmsg("strata: \"strata.retention_size\" cannot be kept: the pages as of the horizon alone take %llu MB",
                    static_cast<unsigned long long>(size.images() / kMegabyte)),
             errhint("History is kept as short as is sensible. Set \"strata.retention_size\" to %llu MB or more.",
                     static_cast<unsigned long long>((size.images() + least) / kMegabyte + 1))));
  }
  return least;
}

std::optional<TimeMark> wanted_by_size(Reader& reader, const History& history) {
  const std::uint64_t room = room_for_deltas(history.size);
  if (history.size.deltas() <= room) return std::nullopt;
  // A quarter of the room is made free at once, so that images are not written for every new layer.
  const Lsn lsn = history.size.end_of_first(history.size.deltas() - room / 4 * 3);
  return newest_mark_by_lsn(reader, std::min(lsn, history.flushed));
}

std::optional<TimeMark> wanted_by_time(Reader& reader, const History& history, TimestampTz now) {
  if (now - history.horizon.time <= retention_time) return std::nullopt;
  std::optional<TimeMark> mark = newest_mark_by_time(reader, now - retention_time);
  if (!mark || mark->lsn <= history.horizon.lsn) return std::nullopt;
  // Until it has gone, history is as old as this at most.
  const bool overdue = (now - history.horizon.time) / 2 > retention_time;
  if (mark->lsn > history.flushed) {
    if (overdue) pg_atomic_write_u64(&pg::shared_state->flush_wanted, mark->lsn);
    mark = newest_mark_by_lsn(reader, history.flushed);
    if (!mark) return std::nullopt;
  }
  const std::uint64_t garbage = history.size.deltas_up_to(mark->lsn);
  if (garbage == 0 || (!overdue && garbage < history.size.images() / 4)) return std::nullopt;
  return mark;
}

// VACUUM has removed all before it from pages, and written that to WAL, before a checkpoint could name it.
std::optional<MultiXactId> oldest_multixact_at(Reader& reader, Lsn lsn) {
  const std::optional<Version> version = reader.newest(ingest::kCheckpointKey, lsn);
  CheckPoint checkpoint;
  if (!version || version->value.size() != sizeof(checkpoint)) return std::nullopt;
  std::memcpy(&checkpoint, version->value.data(), sizeof(checkpoint));
  if (!MultiXactIdIsValid(checkpoint.oldestMulti)) return std::nullopt;
  return checkpoint.oldestMulti;
}

// When this process first looked with the bounds as they are.
TimestampTz first_look_with_bounds(TimestampTz now) {
  static TimestampTz bounds = -1;
  static TimestampTz first_look = 0;
  if (bounds != bounds_since) first_look = now;
  bounds = bounds_since;
  return first_look;
}

bool is_more_than_half(const TimeMark& wanted, const History& history, TimestampTz now) {
  return (wanted.time - history.horizon.time) > (now - history.horizon.time) / 2 ||
         history.size.deltas_up_to(wanted.lsn) > history.size.deltas() / 2;
}

// New bounds may be a mistake, and what they take away is gone for good: the log says so before more than half of
// history goes, which waits until the end of the grace period.
bool must_wait(const TimeMark& wanted, const History& history, TimestampTz now, TimestampTz end) {
  static TimestampTz warned_of = 0;
  if (now > end || !is_more_than_half(wanted, history, now)) return false;
  if (warned_of != end) {
    warned_of = end;
    ereport(WARNING,
            (errmsg("strata: more than half of history will be taken away at %s", pstrdup(timestamptz_to_str(end))),
             errdetail("\"strata.retention_time\" is %s and \"strata.retention_size\" is %s: history from %s would "
                       "begin at %s.",
                       retention_time_text, retention_size_text, pstrdup(timestamptz_to_str(history.horizon.time)),
                       pstrdup(timestamptz_to_str(wanted.time))),
             errhint("Set them to what is wanted before that. \"strata.retention_grace\" is the time that is left "
                     "for it.")));
  }
  return now < end;
}

TimestampTz next_look = 0;

bool time_to_look(TimestampTz now) {
  static unsigned reloads = 0;
  if (now < next_look && reloads == configuration_reloads()) return false;
  reloads = configuration_reloads();
  std::int64_t wait = size_is_limited() ? kShortestWait : kLongestWait;
  if (time_is_limited()) wait = std::min(wait, retention_time / 16);
  next_look = now + std::max(wait, kShortestWait);
  return true;
}

}  // namespace

std::int64_t retention_grace() { return std::max<std::int64_t>(grace, 0); }

bool retention_is_limited() { return time_is_limited() || size_is_limited(); }

std::optional<GcOrder> next_gc() {
  const TimestampTz now = GetCurrentTimestamp();
  if (!retention_is_limited() || !time_to_look(now)) return std::nullopt;
  const TimestampTz end = first_look_with_bounds(now) + retention_grace();
  Reader* reader = nullptr;
  pg::caught([&] { reader = &pg::store_reader(); });
  const History history{
      .horizon = reader->horizon(), .flushed = reader->flushed_lsn(), .size = HistorySize(reader->layers())};

  std::optional<TimeMark> wanted;
  if (time_is_limited()) wanted = wanted_by_time(*reader, history, now);
  if (size_is_limited()) {
    const std::optional<TimeMark> by_size = wanted_by_size(*reader, history);
    if (by_size && (!wanted || by_size->lsn > wanted->lsn)) wanted = by_size;
  }
  if (!wanted || wanted->lsn <= history.horizon.lsn) return std::nullopt;
  if (must_wait(*wanted, history, now, end)) {
    next_look = std::min(next_look, end);
    return std::nullopt;
  }

  // From here on nobody new goes below it; who is there already shows below.
  const Horizon horizon{.lsn = wanted->lsn, .time = wanted->time};
  pg::raise_horizon(horizon);
  const XLogRecPtr lease = travel::oldest_lease(horizon.lsn, now, max_travel_age);
  const Lsn cutoff = lease == InvalidXLogRecPtr ? horizon.lsn : lease;
  if (cutoff > pg_atomic_read_u64(&pg::shared_state->gc_cutoff)) {
    pg_atomic_write_u64(&pg::shared_state->gc_cutoff, cutoff);
    pg_memory_barrier();
  }
  return GcOrder{.cutoff = cutoff, .horizon = horizon, .oldest_multixact = oldest_multixact_at(*reader, cutoff)};
}

void define_retention_settings() {
  DefineCustomStringVariable("strata.retention_time", "How far back history reaches at least.",
                             "A time with a unit, or an interval. 0 or -1: no limit.", &retention_time_text, "0",
                             PGC_SIGHUP, 0, check_duration, assign_retention_time, nullptr);
  DefineCustomStringVariable("strata.retention_size", "How large history may be on disk.",
                             "A size with a unit. 0 or -1: no limit.", &retention_size_text, "0", PGC_SIGHUP, 0,
                             check_size, assign_retention_size, nullptr);
  DefineCustomStringVariable("strata.retention_grace",
                             "How long new bounds wait before they take away more than half of history.",
                             "A time with a unit, or an interval. 0: not at all.", &grace_text, "1h", PGC_SIGHUP, 0,
                             check_duration, assign_grace, nullptr);
  DefineCustomStringVariable("strata.max_travel_age",
                             "How long a session may stay at a moment that retention wants to be gone.",
                             "A time with a unit, or an interval. -1: for ever.", &max_travel_age_text, "1h",
                             PGC_SIGHUP, 0, check_duration, assign_max_travel_age, nullptr);
}

}  // namespace strata::workers
