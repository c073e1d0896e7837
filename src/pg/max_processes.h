// How many processes, and prepared transactions, there can be at once: the size of what has one element for each.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/twophase.h"
#include "miscadmin.h"
#include "storage/proc.h"
}

namespace strata::pg {

// A ProcNumber is below it.
inline int max_processes() { return MaxBackends + NUM_AUXILIARY_PROCS + max_prepared_xacts; }

}  // namespace strata::pg
