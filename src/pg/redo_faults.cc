#include "pg/redo_faults.h"

#include "pg/shared_memory.h"

extern "C" {
#include "port/atomics.h"
#include "utils/timestamp.h"
}

#include <algorithm>
#include <new>

namespace strata::pg {

namespace {

// Slots are taken one after the other and never given back. What `complete` is true of does not change.
struct Slot {
  pg_atomic_uint32 complete;
  RedoFault fault;
};

struct SharedFaults {
  pg_atomic_uint64 taken;
  Slot slots[kMaxRedoFaults];
};

SharedFaults* shared = nullptr;

std::size_t slots_taken() { return std::min<std::size_t>(pg_atomic_read_u64(&shared->taken), kMaxRedoFaults); }

const RedoFault* complete_slot(std::size_t i) {
  Slot& slot = shared->slots[i];
  if (pg_atomic_read_u32(&slot.complete) == 0) return nullptr;
  pg_read_barrier();
  return &slot.fault;
}

const RedoFault* find(const Key& key, Lsn lsn) {
  for (std::size_t i = 0, end = slots_taken(); i < end; ++i) {
    const RedoFault* fault = complete_slot(i);
    if (fault != nullptr && fault->lsn == lsn && fault->key == key) return fault;
  }
  return nullptr;
}

}  // namespace

void register_redo_faults() {
  const auto attach = [](void* memory, bool initialize) {
    shared = static_cast<SharedFaults*>(memory);
    if (!initialize) return;
    new (shared) SharedFaults{};
    pg_atomic_init_u64(&shared->taken, 0);
    for (Slot& slot : shared->slots) pg_atomic_init_u32(&slot.complete, 0);
  };
  register_shared_memory({"strata redo faults", [] { return sizeof(SharedFaults); }, attach});
}

void note_redo_fault(const Key& key, Lsn lsn, const char* reason) {
  if (find(key, lsn) != nullptr) return;
  const uint64 i = pg_atomic_fetch_add_u64(&shared->taken, 1);
  if (i >= kMaxRedoFaults) return;
  Slot& slot = shared->slots[i];
  slot.fault.key = key;
  slot.fault.lsn = lsn;
  slot.fault.time = GetCurrentTimestamp();
  strlcpy(slot.fault.reason, reason, sizeof(slot.fault.reason));
  pg_write_barrier();
  pg_atomic_write_u32(&slot.complete, 1);
}

bool any_redo_fault() { return pg_atomic_read_u64(&shared->taken) != 0; }

bool redo_faults_are_full() { return pg_atomic_read_u64(&shared->taken) >= kMaxRedoFaults; }

bool find_redo_fault(const Key& key, Lsn lsn, char* reason) {
  const RedoFault* fault = find(key, lsn);
  if (fault == nullptr) return false;
  strlcpy(reason, fault->reason, kRedoFaultReasonBytes);
  return true;
}

uint64 redo_fault_count(RedoFault& last) {
  for (std::size_t i = slots_taken(); i-- > 0;) {
    const RedoFault* fault = complete_slot(i);
    if (fault == nullptr) continue;
    last = *fault;
    break;
  }
  return pg_atomic_read_u64(&shared->taken);
}

}  // namespace strata::pg
