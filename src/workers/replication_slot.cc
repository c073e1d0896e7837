#include "workers/replication_slot.h"

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "replication/slot.h"
#include "storage/lwlock.h"
#include "storage/spin.h"
}

#include <string>

#include "ingest/history_ends.h"
#include "pg/guard.h"
#include "pg/pg_env.h"
#include "workers/process.h"
#include "workers/wal_lag.h"

namespace strata::workers {
namespace {

void create_slot() {
  if (max_replication_slots == 0) {
    throw ingest::HistoryEnds("history needs a replication slot, but \"max_replication_slots\" is 0",
                              "Set \"max_replication_slots\" to 1 or more and restart the server.");
  }
  try {
    pg::caught([] { ReplicationSlotCreate(kSlotName, false, RS_PERSISTENT, false, false, false); });
  } catch (const pg::PgError& error) {
    if (error.sqlstate() != ERRCODE_CONFIGURATION_LIMIT_EXCEEDED) throw;
    clean_up_after_error();
    throw ingest::HistoryEnds(std::string("history needs a replication slot, but ") + error.what(),
                              "Drop a replication slot and reload the configuration, or raise "
                              "\"max_replication_slots\" and restart the server.");
  }
}

void reserve_wal() {
  pg::caught([] {
    ReplicationSlotReserveWal();
    ReplicationSlotMarkDirty();
    ReplicationSlotSave();
  });
}

}  // namespace

Lsn acquire_replication_slot() {
  bool exists = false;
  pg::caught([&] { exists = SearchNamedReplicationSlot(kSlotName, true) != nullptr; });
  if (!exists) {
    create_slot();
  } else {
    pg::caught([] { ReplicationSlotAcquire(kSlotName, true, false); });
    if (MyReplicationSlot->data.database != InvalidOid || MyReplicationSlot->data.invalidated != RS_INVAL_NONE) {
      const bool logical = MyReplicationSlot->data.database != InvalidOid;
      release_replication_slot();
      if (!logical) throw HistoryLost(kSlotLost);
      throw ingest::HistoryEnds("the replication slot \"strata\" is a logical one",
                                "Drop the slot with pg_drop_replication_slot('strata') and reload the configuration.");
    }
  }
  if (MyReplicationSlot->data.restart_lsn == InvalidXLogRecPtr) reserve_wal();
  return MyReplicationSlot->data.restart_lsn;
}

Lsn slot_position() {
  Lsn position = kInvalidLsn;
  pg::caught([&] {
    LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
    ReplicationSlot* slot = SearchNamedReplicationSlot(kSlotName, false);
    if (slot != nullptr) {
      SpinLockAcquire(&slot->mutex);
      if (slot->data.invalidated == RS_INVAL_NONE) position = slot->data.restart_lsn;
      SpinLockRelease(&slot->mutex);
    }
    LWLockRelease(ReplicationSlotControlLock);
  });
  return position;
}

void advance_replication_slot(Lsn lsn) {
  bool lost = false;
  pg::pg_env().reached("slot-advance");
  pg::caught([&] {
    ReplicationSlot* slot = MyReplicationSlot;
    SpinLockAcquire(&slot->mutex);
    lost = slot->data.invalidated != RS_INVAL_NONE;
    if (!lost) slot->data.restart_lsn = lsn;
    SpinLockRelease(&slot->mutex);
    if (lost) return;
    ReplicationSlotMarkDirty();
    ReplicationSlotSave();
    ReplicationSlotsComputeRequiredLSN();
  });
  if (lost) throw HistoryLost(kSlotLost);
  pg::pg_env().reached("slot-advanced");
}

void release_replication_slot() {
  if (MyReplicationSlot == nullptr) return;
  pg::caught([] { ReplicationSlotRelease(); });
}

bool drop_replication_slot() {
  bool exists = false;
  pg::caught([&] {
    exists = SearchNamedReplicationSlot(kSlotName, true) != nullptr;
    if (exists) ReplicationSlotDrop(kSlotName, true);
  });
  return exists;
}

}  // namespace strata::workers
