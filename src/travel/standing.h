// Where every process stands in the past: what retention has to leave alone for a while.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
}

#include <cstdint>

namespace strata::travel {

void register_standing_table();  // from _PG_init

// This process is about to travel to `lsn`. What the horizon was afterwards decides whether it may: the horizon is
// published first and the table read then, so that either this process sees the horizon or retention sees this process.
void announce_standing(XLogRecPtr lsn);
// This process stands on `lsn` (InvalidXLogRecPtr: in the present) and has announced nothing.
void stand_on(XLogRecPtr lsn);
// What was announced has not come to pass. Cheap.
void withdraw_announcement();

struct Standing {
  XLogRecPtr lsn;  // InvalidXLogRecPtr: in the present
  TimestampTz since;
};
// Where the process with this number, below pg::process_slots(), stands. It may move at any time.
Standing standing_of(int slot);

// The lowest LSN below `wanted` that a process stands on or has announced, and has not for longer than `max_age`
// microseconds since this function first met it; InvalidXLogRecPtr when there is none. Negative: for ever.
// REQUIRES: called by one process only, which published `wanted` before.
XLogRecPtr oldest_standing(XLogRecPtr wanted, TimestampTz now, std::int64_t max_age);

}  // namespace strata::travel
