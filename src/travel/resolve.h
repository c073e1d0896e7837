// From a moment in time to an LSN: the rows are those of recovery_target_time.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
}

namespace strata::travel {

// The LSN that stands for `time`: the end of the last commit or abort record, in WAL order, before the first one whose
// timestamp is later. What unfinished transactions write after it does not belong to that time. Waits (cancellable)
// until ingest has seen everything that can decide it. Raises an ERROR (ERRCODE_INVALID_PARAMETER_VALUE) for a time in
// the future or before the horizon, with the reachable range.
XLogRecPtr resolve_time(TimestampTz time);

// Checks that `lsn` can be travelled to, and waits until ingest has reached it. Returns it, or the end of WAL where
// that is all that lies before it.
XLogRecPtr resolve_lsn(XLogRecPtr lsn);

// Announces that this process goes to `lsn`, which resolve_*() has returned. Raises an ERROR
// (ERRCODE_INVALID_PARAMETER_VALUE) when the horizon has passed it meanwhile. Afterwards retention leaves it alone, for
// strata.max_travel_age at least.
void lease_lsn(XLogRecPtr lsn);
// The same, but returns false instead of raising an ERROR.
bool try_lease_lsn(XLogRecPtr lsn);

// Raises an ERROR (snapshot_too_old) when history at `lsn` may be gone: what was read there before the call counts only
// if it returns.
void require_above_gc_cutoff(XLogRecPtr lsn);

// Where the server's clock was set back: the latest timestamp that a commit or abort had before, which is later than
// now. 0 where there is none.
TimestampTz clock_is_behind_until();

// The latest timestamp of a commit or abort whose record ends at or before `lsn`; 0 where history holds none. REQUIRES:
// ingest has reached `lsn`.
TimestampTz last_commit_at(XLogRecPtr lsn);

}  // namespace strata::travel
