// The background process that keeps the store small and flat.
#pragma once

namespace strata::workers {

// REQUIRES: called from _PG_init while the postmaster preloads libraries.
void define_compaction_settings();
void register_compaction_worker();

}  // namespace strata::workers
