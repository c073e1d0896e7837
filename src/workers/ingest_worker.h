// The background process that keeps history: takes the baseline once, then reads WAL.
#pragma once

namespace strata::workers {

// REQUIRES: called from _PG_init while the postmaster preloads libraries.
void register_ingest_worker();

}  // namespace strata::workers
