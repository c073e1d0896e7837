#include "pg/shared_memory.h"

extern "C" {
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
}

#include <array>

namespace strata::pg {

namespace {

constexpr std::size_t kMaxParts = 16;
std::array<SharedMemoryPart, kMaxParts> parts;
std::size_t part_count = 0;

shmem_request_hook_type previous_request_hook = nullptr;
shmem_startup_hook_type previous_startup_hook = nullptr;

// ShmemInitStruct() aligns each part to a cache line.
void request_shared_memory() {
  if (previous_request_hook != nullptr) previous_request_hook();
  for (std::size_t i = 0; i < part_count; i++) {
    RequestAddinShmemSpace(CACHELINEALIGN(parts[i].bytes()));
    if (parts[i].locks > 0) RequestNamedLWLockTranche(parts[i].lock_tranche, parts[i].locks);
  }
}

void startup_shared_memory() {
  if (previous_startup_hook != nullptr) previous_startup_hook();
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  for (std::size_t i = 0; i < part_count; i++) {
    bool found = false;
    void* memory = ShmemInitStruct(parts[i].name, parts[i].bytes(), &found);
    Assert(memory == reinterpret_cast<void*>(TYPEALIGN(PG_CACHE_LINE_SIZE, memory)));
    parts[i].attach(memory, !found);
  }
  LWLockRelease(AddinShmemInitLock);
}

}  // namespace

void register_shared_memory(const SharedMemoryPart& part) {
  Assert(process_shared_preload_libraries_in_progress && part_count < kMaxParts);
  if (part_count == 0) {
    previous_request_hook = shmem_request_hook;
    shmem_request_hook = request_shared_memory;
    previous_startup_hook = shmem_startup_hook;
    shmem_startup_hook = startup_shared_memory;
  }
  parts[part_count++] = part;
}

}  // namespace strata::pg
