#include "workers/wal_lag.h"

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "postmaster/bgwriter.h"
#include "replication/slot.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
}

#include <algorithm>

#include "pg/guard.h"
#include "pg/wal_space.h"
#include "workers/slot.h"

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
int max_wal_lag_mb = kAutomatic;

// History may have the room that WAL takes and that is free, but for what WAL needs in any case; of little room half.
Lsn automatic_limit(Lsn lag) {
  const pg::WalSpace space = pg::wal_space();
  if (!space.known) return kMaxLsn;
  const Lsn room = lag + space.free;
  return room / 2 > space.reserve ? room - space.reserve : room / 2;
}

Lsn limit_at(Lsn lag) {
  if (max_wal_lag_mb == kNoLimit) return kMaxLsn;
  if (max_wal_lag_mb == kAutomatic) return automatic_limit(lag);
  return static_cast<Lsn>(max_wal_lag_mb) * kMegabyte;
}

bool room_runs_out() {
  const pg::WalSpace space = pg::wal_space();
  return space.known && space.free < space.reserve / 2;
}

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
  DefineCustomIntVariable("strata.max_wal_lag", "How much WAL may be held back for history before it is given up.",
                          "-1: as much as leaves WAL enough room on its disk. 0: no limit.", &max_wal_lag_mb,
                          kAutomatic, kAutomatic, INT_MAX, PGC_SIGHUP, GUC_UNIT_MB, nullptr, nullptr, nullptr);
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
