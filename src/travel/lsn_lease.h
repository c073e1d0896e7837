// LSN leases: the LSN at which each process travels, which retention leaves alone for a while.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
}

#include <cstdint>

namespace strata::travel {

void register_lsn_leases();  // from _PG_init

// This process is about to travel to `lsn`. What the horizon was afterwards decides whether it may: the horizon is
// published first and the table read then, so that either this process sees the horizon or retention sees this process.
void announce_lease(XLogRecPtr lsn);
// This process leases `lsn` (InvalidXLogRecPtr: nothing, it is in the present) and has announced nothing.
void take_lease(XLogRecPtr lsn);
// What was announced has not come to pass. Cheap.
void withdraw_announcement();

struct Lease {
  XLogRecPtr lsn;  // InvalidXLogRecPtr: in the present
  TimestampTz since;
};
// What the process with this number, below pg::max_processes(), leases. That may change at any time.
Lease lease_of(int slot);

// The lowest LSN below `wanted` that a process leases or has announced, and has not for longer than `max_age`
// microseconds since this function first met it; InvalidXLogRecPtr when there is none. Negative: for ever.
// REQUIRES: called by one process only, which published `wanted` before.
XLogRecPtr oldest_lease(XLogRecPtr wanted, TimestampTz now, std::int64_t max_age);

}  // namespace strata::travel
