// The physical replication slot that keeps the WAL which is not in layer files yet.
#pragma once

#include "store/lsn.h"

namespace strata::workers {

inline constexpr const char* kSlotName = "strata";

// Acquires the replication slot for this process; creates it where there is none. Returns the LSN from which on it
// keeps WAL. Throws ingest::HistoryEnds, HistoryLost or pg::PgError.
Lsn acquire_replication_slot();

// From where on it keeps WAL, taken or not; kInvalidLsn: there is none, or it has lost its WAL. Throws pg::PgError.
[[nodiscard]] Lsn slot_position();

// Lets go of WAL before `lsn`, durably. REQUIRES: the slot is taken, everything before lsn is durable in the store.
// Throws HistoryLost where the slot has lost its WAL meanwhile, pg::PgError.
void advance_replication_slot(Lsn lsn);

// Gives the slot back, which keeps its WAL. No error when it was not taken.
void release_replication_slot();

// Removes it, so that it keeps no WAL. False: there was none. REQUIRES: this process has not taken it.
// Throws pg::PgError.
bool drop_replication_slot();

}  // namespace strata::workers
