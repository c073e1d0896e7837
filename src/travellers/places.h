// Places for travellers among the server's background workers: `strata.max_travellers` of them beside
// max_worker_processes, so that neither takes any of the other's.
#pragma once

extern "C" {
#include "postgres.h"

#include "postmaster/bgworker.h"
}

#include <cstddef>

namespace strata::travellers {

// A copy of a BackgroundWorkerHandle, whose definition is the server's own, so that any process can ask after a worker.
struct WorkerHandle {
  alignas(8) char bytes[16];
};

WorkerHandle copy_of(const BackgroundWorkerHandle* handle);
// Whether the worker has ended for good, or was never started and will not be.
bool has_ended(const WorkerHandle& handle);

// Makes workers of others keep within max_worker_processes, and registers shared memory for that. From _PG_init, in the
// postmaster.
void install_places();

// Registers a traveller; it is never one too many for others. False where the server has no place.
bool register_traveller(BackgroundWorker* worker, BackgroundWorkerHandle** handle);

}  // namespace strata::travellers
