// Records whose redo has ended a process, so that no process tries them again. In shared memory: what ends the server
// forgets them.
#pragma once

extern "C" {
#include "postgres.h"

#include "datatype/timestamp.h"
}

#include <cstddef>

#include "store/key.h"
#include "store/lsn.h"

namespace strata::pg {

inline constexpr std::size_t kRedoFaultReasonBytes = 64;
// So many are kept. Beyond them every process that meets another one ends, and no worker rebuilds pages any more.
inline constexpr std::size_t kMaxRedoFaults = 512;

struct RedoFault {
  Key key;
  Lsn lsn = kInvalidLsn;
  TimestampTz time = 0;
  char reason[kRedoFaultReasonBytes] = {};
};

void register_redo_faults();  // from _PG_init

// Takes no lock and allocates nothing: the process is about to end. The same record counts once.
void note_redo_fault(const Key& key, Lsn lsn, const char* reason);

// Cheap.
[[nodiscard]] bool any_redo_fault();
[[nodiscard]] bool redo_faults_are_full();
// Whether the redo of the record at `lsn` has ended a process that rebuilt `key`, and how: kRedoFaultReasonBytes.
[[nodiscard]] bool find_redo_fault(const Key& key, Lsn lsn, char* reason);

// How many there are, kept or not, and the last one that is kept; 0 and nothing else when there is none.
[[nodiscard]] uint64 redo_fault_count(RedoFault& last);

}  // namespace strata::pg
