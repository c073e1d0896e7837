#include "travellers/places.h"

extern "C" {
#include "seams_includes.h"

#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/memutils.h"

#include "seams.h"
}

#include <cstring>

#include "pg/shared_memory.h"

namespace strata::travellers {

namespace {

constexpr const char* kTranche = "strata_workers";

// A dynamic worker that is not a traveller.
struct Other {
  bool used;
  WorkerHandle handle;
};

Other* others = nullptr;  // max_worker_processes of them, under `lock`
LWLock* lock = nullptr;

std::size_t shared_bytes() { return sizeof(Other) * static_cast<std::size_t>(max_worker_processes); }

// Frees the entries of workers that have ended. Returns an entry without one, -1 where there is none; counts the
// others.
int find_entry(int& live) {
  int entry = -1;
  for (int i = 0; i < max_worker_processes; i++) {
    if (others[i].used && has_ended(others[i].handle)) others[i].used = false;
    if (others[i].used) {
      live++;
    } else {
      entry = i;
    }
  }
  return entry;
}

// In the place of PostgreSQL's function, in every process: a worker that is not a traveller finds as many places as
// without travellers.
bool register_other(BackgroundWorker* worker, BackgroundWorkerHandle** handle) {
  if (others == nullptr || !IsUnderPostmaster) return strata_real_RegisterDynamicBackgroundWorker(worker, handle);
  LWLockAcquire(lock, LW_EXCLUSIVE);
  int live = strata_registered_workers;
  const int entry = find_entry(live);
  BackgroundWorkerHandle* registered = nullptr;
  if (entry >= 0 && live < max_worker_processes && strata_real_RegisterDynamicBackgroundWorker(worker, &registered)) {
    others[entry] = Other{true, copy_of(registered)};
  }
  LWLockRelease(lock);
  if (registered == nullptr) return false;
  if (handle != nullptr) {
    *handle = registered;
  } else {
    pfree(registered);
  }
  return true;
}

}  // namespace

WorkerHandle copy_of(const BackgroundWorkerHandle* handle) {
  WorkerHandle copy;
  Assert(GetMemoryChunkSpace(const_cast<BackgroundWorkerHandle*>(handle)) >= sizeof(copy.bytes));
  std::memcpy(copy.bytes, handle, sizeof(copy.bytes));
  return copy;
}

bool has_ended(const WorkerHandle& handle) {
  WorkerHandle copy = handle;
  pid_t pid = 0;
  return GetBackgroundWorkerPid(reinterpret_cast<BackgroundWorkerHandle*>(copy.bytes), &pid) == BGWH_STOPPED;
}

void install_places() {
  strata_seams.RegisterDynamicBackgroundWorker = register_other;
  const auto attach = [](void* memory, bool initialize) {
    others = static_cast<Other*>(memory);
    lock = &GetNamedLWLockTranche(kTranche)->lock;
    if (initialize) std::memset(memory, 0, shared_bytes());
  };
  pg::register_shared_memory({"strata workers", shared_bytes, attach, kTranche, 1});
}

bool register_traveller(BackgroundWorker* worker, BackgroundWorkerHandle** handle) {
  return strata_real_RegisterDynamicBackgroundWorker(worker, handle);
}

}  // namespace strata::travellers
