#include "workers/wal_lag.h"

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "postmaster/bgwriter.h"
#include "replication/slot.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
}

#include <algorithm>

#include "pg/belonging.h"
#include "pg/guard.h"
#include "pg/wal_space.h"
#include "workers/retention.h"
#include "workers/setting_units.h"
#include "workers/replication_slot.h"

namespace strata::workers {
namespace {

// More WAL than this is not kept back only because it changes little that the store keeps.
constexpr Lsn kMaxUnflushedWal = Lsn{512} << 20;
constexpr Lsn kMegabyte = Lsn{1} << 20;
// So long the process that has the slot may take to see that it is too late.
constexpr int kPatience = 10 * 1000;  // milliseconds

// Where room runs out.
constexpr int kLittlePatience = 1000;

constexpr int kAutomatic = -1;
constexpr int kNoLimit = 0;
std::int64_t max_wal_lag_mb = kAutomatic;
char* max_wal_lag_text = nullptr;

// What a reload has made smaller, for a while: the value before it, and since when.
std::int64_t previous_mb = kAutomatic;
TimestampTz changed_at = 0;

bool check_max_wal_lag(char** value, void** extra, GucSource) {
  std::int64_t megabytes = 0;
  if (!parse_size(*value, &megabytes)) return false;
  auto* copy = static_cast<std::int64_t*>(guc_malloc(LOG, sizeof(megabytes)));
  if (copy == nullptr) return false;
  *copy = megabytes;
  *extra = copy;
  return true;
}

void assign_max_wal_lag(const char*, void* extra) {
  const std::int64_t megabytes = *static_cast<const std::int64_t*>(extra);
  if (megabytes == max_wal_lag_mb) return;
  if (!process_shared_preload_libraries_in_progress) {
    previous_mb = max_wal_lag_mb;
    changed_at = GetCurrentTimestamp();
  }
  max_wal_lag_mb = megabytes;
}

// History may have the room that WAL takes and that is free, but for what WAL needs in any case; of little room half.
Lsn automatic_limit(Lsn lag) {
  const pg::WalSpace space = pg::wal_space();
  if (!space.known) return kMaxLsn;
  const Lsn room = lag + space.free;
  return room / 2 > space.reserve ? room - space.reserve : room / 2;
}

Lsn limit_of(std::int64_t setting_mb, Lsn lag) {
  if (setting_mb == kNoLimit) return kMaxLsn;
  if (setting_mb == kAutomatic) return automatic_limit(lag);
  return static_cast<Lsn>(setting_mb) * kMegabyte;
}

bool room_runs_out() {
  const pg::WalSpace space = pg::wal_space();
  return space.known && space.free < space.reserve / 2;
}

// Giving history up is for good: a smaller limit that would do so at once waits for a while, and the log says so
// before. Not where the disk of WAL fills.
bool waits_for_grace(Lsn lag) {
  static TimestampTz warned_of = 0;
  if (changed_at == 0 || lag <= limit_of(max_wal_lag_mb, lag) || lag > limit_of(previous_mb, lag)) return false;
  const TimestampTz end = changed_at + retention_grace();
  if (GetCurrentTimestamp() >= end || room_runs_out()) return false;
  if (warned_of == end || MyBackendType != B_BG_WORKER) return true;
  warned_of = end;
  pg::caught([&] {
    ereport(WARNING, (errmsg("strata: history will be given up at %s", timestamptz_to_str(end)),
                      errdetail("%llu MB of WAL are held back, and \"strata.max_wal_lag\" is %s now.",
                                static_cast<unsigned long long>(lag / kMegabyte), max_wal_lag_text),
                      errhint("Set it to what is wanted before that. \"strata.retention_grace\" is the time that is "
                              "left for it.")));
  });
  return true;
}

Lsn limit_at(Lsn lag) { return limit_of(waits_for_grace(lag) ? previous_mb : max_wal_lag_mb, lag); }

// Why history ends.
std::string describe(Lsn lag) {
  std::string text = std::to_string(lag / kMegabyte) + " MB of WAL are held back, ";
  if (max_wal_lag_mb != kAutomatic) {
    return text + "\"strata.max_wal_lag\" is " + std::to_string(max_wal_lag_mb) + " MB";
  }
  const pg::WalSpace space = pg::wal_space();
  return text + std::to_string(space.free / kMegabyte) + " MB are free on the disk of pg_wal, of which WAL needs " +
         std::to_string(space.reserve / kMegabyte) + " MB";
}

// What keeps WAL, and from where.
struct SlotState {
  Lsn kept_from = kInvalidLsn;  // kInvalidLsn: none is kept
  bool lost = false;
};

SlotState state_of(ReplicationSlot* slot) {
  SlotState state;
  SpinLockAcquire(&slot->mutex);
  state.kept_from = slot->data.restart_lsn;
  state.lost = slot->data.invalidated != RS_INVAL_NONE;
  SpinLockRelease(&slot->mutex);
  return state;
}

Lsn lag_of(const SlotState& state) {
  const Lsn end = GetXLogInsertRecPtr();
  return state.kept_from == kInvalidLsn || end < state.kept_from ? 0 : end - state.kept_from;
}

SlotState current_state() {
  SlotState state;
  pg::caught([&] {
    // Under the lock the slot stays what its name says.
    LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
    ReplicationSlot* slot = SearchNamedReplicationSlot(kSlotName, false);
    if (slot != nullptr) state = state_of(slot);
    LWLockRelease(ReplicationSlotControlLock);
  });
  return state;
}

// As PostgreSQL does it for max_slot_wal_keep_size, but that it does not wait for whoever has the slot.
void invalidate(ReplicationSlot* slot) {
  SpinLockAcquire(&slot->mutex);
  slot->data.restart_lsn = InvalidXLogRecPtr;
  slot->data.invalidated = RS_INVAL_WAL_REMOVED;
  slot->just_dirtied = true;
  slot->dirty = true;
  SpinLockRelease(&slot->mutex);
}

}  // namespace

void define_wal_lag_settings() {
  DefineCustomStringVariable("strata.max_wal_lag", "How much WAL may be held back for history before it is given up.",
                             "A size with a unit. -1: as much as leaves WAL enough room on its disk. 0: no limit.",
                             &max_wal_lag_text, "-1", PGC_SIGHUP, 0, check_max_wal_lag, assign_max_wal_lag, nullptr);
}

Lsn max_unflushed_wal() { return std::min(kMaxUnflushedWal, limit_at(0) / 2); }

WalLag wal_lag() {
  const Lsn lag = lag_of(current_state());
  return {.held = lag, .limit = limit_at(lag)};
}

void check_wal_lag() {
  const SlotState state = current_state();
  if (state.lost) throw HistoryLost(kSlotLost);
  const Lsn lag = lag_of(state);
  if (lag > limit_at(lag)) throw HistoryLost(describe(lag));
}

void check_history_goes_on() {
  if (pg_atomic_read_u32(&pg::shared_belonging->begin_anew) != 0) throw HistoryLost("strata.begin_anew() was called");
  check_wal_lag();
}

void ask_for_checkpoint() {
  pg::caught([] { RequestCheckpoint(CHECKPOINT_FORCE | CHECKPOINT_IMMEDIATE); });
}

void enforce_wal_lag() {
  static TimestampTz too_much_since = 0;
  static TimestampTz next_look = 0;
  const TimestampTz now = GetCurrentTimestamp();
  if (max_wal_lag_mb == kNoLimit || (now < next_look && next_look <= now + USECS_PER_SEC)) return;
  next_look = now + USECS_PER_SEC;
  if (too_much_since == 0 || too_much_since > now) too_much_since = now;
  const bool patient = !TimestampDifferenceExceeds(too_much_since, now, room_runs_out() ? kLittlePatience : kPatience);
  Lsn lag = 0;
  bool too_much = false;
  pg::caught([&] {
    LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
    ReplicationSlot* slot = SearchNamedReplicationSlot(kSlotName, false);
    if (slot != nullptr) lag = lag_of(state_of(slot));
    too_much = lag > limit_at(lag);
    if (too_much && !patient) invalidate(slot);
    LWLockRelease(ReplicationSlotControlLock);
  });
  if (too_much && patient) return;
  too_much_since = 0;
  if (!too_much) return;
  const std::string reason = describe(lag);
  const char* text = reason.c_str();
  pg::caught([text] {
    ReplicationSlotsComputeRequiredLSN();
    ereport(WARNING, (errmsg("strata: the replication slot \"%s\" was invalidated: %s, and its process did not react",
                             kSlotName, text),
                      errhint("History begins anew when that process does.")));
  });
  ask_for_checkpoint();
}

}  // namespace strata::workers
