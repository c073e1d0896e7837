// How much WAL may wait for history, and what happens beyond that: history is given up, never the disk of pg_wal.
#pragma once

#include "ingest/history_ends.h"
#include "store/lsn.h"

namespace strata::workers {

using ingest::HistoryLost;

inline constexpr const char* kSlotLost = "the replication slot \"strata\" has lost its WAL";

// REQUIRES: called from _PG_init while the postmaster preloads libraries.
void define_wal_lag_settings();

// What history holds back of WAL, and how much of it may be: bytes.
struct WalLag {
  Lsn held = 0;
  Lsn limit = kMaxLsn;  // kMaxLsn: no limit
};
// As the slot is now. Any process. Throws pg::PgError.
[[nodiscard]] WalLag wal_lag();

// WAL that is flushed to layer files when so much of it is not; well below strata.max_wal_lag.
[[nodiscard]] Lsn max_unflushed_wal();

// For ingest. Throws HistoryLost when the slot holds back more than the limit, or has been invalidated. Cheap.
void check_wal_lag();

// For ingest. Throws HistoryLost when history has to be given up: strata.begin_anew() was called, or as
// check_wal_lag().
void check_history_goes_on();

// WAL that is not held back any more goes with the next checkpoint: asks for one, and does not wait.
void ask_for_checkpoint();

// For another process, in case that one hangs: takes the WAL from it when it has not acted for a while. Cheap.
void enforce_wal_lag();

}  // namespace strata::workers
