// Whether the WAL that is there is the WAL that the store was made of: proven by content, never by position.
#pragma once

#include "ingest/history_ends.h"
#include "store/store.h"

namespace strata::workers {

// Writes a record with random content, durably. Two servers that go on from one copy write different ones, so WAL that
// has it has all that came before it. Throws pg::PgError.
[[nodiscard]] JoinProof write_proof();

// REQUIRES: the store has a baseline, the slot is not taken; system identifier and timeline are the cluster's.
// Throws ingest::HistoryLost where the store and the WAL have no common record behind what is flushed, or pg::PgError
// where WAL cannot be read.
void check_continuity(const Writer& writer);

}  // namespace strata::workers
