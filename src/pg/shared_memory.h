// Parts of the shared memory that strata asks PostgreSQL for. Each module registers its own part.
#pragma once

#include <cstddef>

namespace strata::pg {

struct SharedMemoryPart {
  const char* name;  // of the ShmemInitStruct() entry; unique
  std::size_t (*bytes)();
  // Called in every process that attaches; the memory is aligned to a cache line. `initialize`: nobody has done so yet.
  // Runs under AddinShmemInitLock.
  void (*attach)(void* memory, bool initialize);
  const char* lock_tranche = nullptr;  // where `locks` is not 0: LWLocks for GetNamedLWLockTranche()
  int locks = 0;
};

// REQUIRES: called from _PG_init in the postmaster. At most 16 parts.
void register_shared_memory(const SharedMemoryPart& part);

}  // namespace strata::pg
