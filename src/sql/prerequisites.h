// What a SQL function of strata needs before it can answer, and where WAL ends now.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
}

#include "pg/shared_state.h"
#include "store/store.h"

namespace strata::sql {

using pg::require_enabled;

// The horizon. Raises an ERROR when strata is off or there is no baseline yet.
Horizon require_horizon();

// Raises an ERROR when the session travels. `action`: what it cannot do then, as in "check pages".
void require_present(const char* action);

// The end of the last WAL record that any session has inserted, never beyond what can be flushed.
XLogRecPtr wal_end();

// `lsn`, or wal_end() where lsn points past the page header that the next record will leave room for.
// Raises an ERROR when lsn is beyond the end of WAL.
XLogRecPtr require_inserted(XLogRecPtr lsn);

}  // namespace strata::sql
