// Whose history the store holds, and why another one has come to its end: what the processes of one server know of
// that.
#pragma once

#include "pg/shared_state.h"

namespace strata::pg {

struct SharedBelonging {
  pg_atomic_uint64 owner;       // what the store's lock knows this server by; 0: the store is not this server's
  pg_atomic_uint32 begin_anew;  // 1: ingest is to give history up
  HistoryError given_up;        // under Lock::kHistoryError; without a hint
};

// Null when strata_enabled is off. Constant after shared memory is set up.
extern SharedBelonging* shared_belonging;

void register_belonging();  // from _PG_init

// Why the history before this one was given up, since the server's start. Any process.
void report_given_up(const char* reason);
HistoryError why_given_up();

}  // namespace strata::pg
