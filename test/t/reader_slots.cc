// For tests: which processes have slots of readers.
extern "C" {
#include "seams_includes.h"

#include "fmgr.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(strata_test_reader_slots);
}

#include "store/memtable.h"

// strata_test_reader_slots(pid, bytes): how many slots a process has; `bytes` is the size that pg_shmem_allocations
// shows of "strata memtable".
Datum strata_test_reader_slots(PG_FUNCTION_ARGS) {
  const int pid = PG_GETARG_INT32(0);
  bool found = false;
  LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
  void* memory = ShmemInitStruct("strata memtable", static_cast<Size>(PG_GETARG_INT64(1)), &found);
  LWLockRelease(AddinShmemInitLock);
  if (!found) elog(ERROR, "strata is not on");
  const auto* store = static_cast<const strata::SharedStore*>(memory);
  int slots = 0;
  for (int i = 0; i < strata::SharedStore::kReaderSlots; ++i) {
    if (store->owner_of_slot(i) == pid) ++slots;
  }
  PG_RETURN_INT32(slots);
}
