// How a session waits until ingest has reached an LSN.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
}

namespace strata::pg {

// Waits until ingest has made `lsn` visible; cancellable. Raises an ERROR with the reason when history has stopped.
// Flushes WAL up to lsn first. REQUIRES: lsn is not beyond the WAL that has been inserted.
void wait_for_visible(XLogRecPtr lsn);
// After visible_lsn has risen: wakes the sessions that wait, where one of them has what it waits for.
void wake_waiters();

}  // namespace strata::pg
