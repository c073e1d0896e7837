#include "workers/wal_lag.h"

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "replication/slot.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
}

#include <algorithm>

#include "pg/guard.h"
#include "workers/slot.h"

namespace strata::workers {
namespace {

// More WAL than this is not kept back only because it changes little that the store keeps.
constexpr Lsn kMaxUnflushedWal = Lsn{512} << 20;
constexpr Lsn kMegabyte = Lsn{1} << 20;
// So long the process that has the slot may take to see that it is too late.
constexpr int kPatience = 10 * 1000;  // milliseconds

int max_wal_lag_mb = 0;

Lsn limit() { return static_cast<Lsn>(max_wal_lag_mb) * kMegabyte; }

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
                          "0: no limit.", &max_wal_lag_mb, 0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MB, nullptr, nullptr,
                          nullptr);
}

Lsn max_unflushed_wal() { return max_wal_lag_mb == 0 ? kMaxUnflushedWal : std::min(kMaxUnflushedWal, limit() / 2); }

void check_wal_lag() {
  SlotState state;
  pg::caught([&] {
    // Under the lock the slot stays what its name says.
    LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
    ReplicationSlot* slot = SearchNamedReplicationSlot(kSlotName, false);
    if (slot != nullptr) state = state_of(slot);
    LWLockRelease(ReplicationSlotControlLock);
  });
  if (state.lost) throw HistoryLost(kSlotLost);
  const Lsn lag = lag_of(state);
  if (max_wal_lag_mb == 0 || lag <= limit()) return;
  throw HistoryLost(std::to_string(lag / kMegabyte) + " MB of WAL are held back, \"strata.max_wal_lag\" is " +
                    std::to_string(max_wal_lag_mb) + " MB");
}

void enforce_wal_lag() {
  static TimestampTz too_much_since = 0;
  static TimestampTz next_look = 0;
  const TimestampTz now = GetCurrentTimestamp();
  if (max_wal_lag_mb == 0 || now < next_look) return;
  next_look = now + USECS_PER_SEC;
  if (too_much_since == 0) too_much_since = now;
  const bool patient = !TimestampDifferenceExceeds(too_much_since, now, kPatience);
  bool too_much = false;
  pg::caught([&] {
    LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
    ReplicationSlot* slot = SearchNamedReplicationSlot(kSlotName, false);
    too_much = slot != nullptr && lag_of(state_of(slot)) > limit();
    if (too_much && !patient) invalidate(slot);
    LWLockRelease(ReplicationSlotControlLock);
  });
  if (too_much && patient) return;
  too_much_since = 0;
  if (!too_much) return;
  pg::caught([] {
    ReplicationSlotsComputeRequiredLSN();
    ereport(WARNING, (errmsg("strata: the replication slot \"%s\" was invalidated: it held back more WAL than "
                             "\"strata.max_wal_lag\" (%d MB) allows, and its process did not react",
                             kSlotName, max_wal_lag_mb),
                      errhint("History begins anew when that process does.")));
  });
}

}  // namespace strata::workers
