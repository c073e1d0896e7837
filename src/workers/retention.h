// How long and how large history may be, and what has to go therefore.
#pragma once

#include <cstdint>
#include <optional>

#include "store/store.h"

namespace strata::workers {

// REQUIRES: called from _PG_init while the postmaster preloads libraries.
void define_retention_settings();

// How long settings that take away much of history wait before they do: microseconds.
[[nodiscard]] std::int64_t retention_grace();

// Whether there is any bound.
[[nodiscard]] bool retention_is_limited();

// What is at or below `cutoff` may go. The horizon is published, and no process leases an LSN below the cutoff.
struct GcOrder {
  Lsn cutoff;
  Horizon horizon;
  std::optional<std::uint32_t> oldest_multixact;  // that any page refers to at the cutoff or later
};

// Looks whether enough history is beyond the bounds. Cheap, may be called often; called by one process only.
// Throws StoreError and pg::PgError.
[[nodiscard]] std::optional<GcOrder> next_gc();

}  // namespace strata::workers
