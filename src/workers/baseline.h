// The copy of the whole cluster with which history begins.
#pragma once

#include "store/store.h"

namespace strata::workers {

// Copies all state that WAL changes into the store, while the server goes on working: the files are read after a
// checkpoint whose WAL is kept, so that WAL from its redo point on makes the copy whole. When it returns, the baseline
// is durable; ingest begins at writer.flushed_lsn(), the redo point.
//
// REQUIRES: the replication slot is taken and keeps WAL from `kept_from` on; the store has no baseline.
// Throws StoreError, pg::PgError or ingest::HistoryEnds; nothing is left then but files that the next Writer removes.
void take_baseline(Writer& writer, Lsn kept_from);

}  // namespace strata::workers
