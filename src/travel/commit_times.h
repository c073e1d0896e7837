// The times of many commits, read in pieces.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
}

namespace strata::travel {

struct CommitTimes;

// In the current memory context, of a fixed size.
CommitTimes* open_commit_times();

// As last_commit_at(). Questions in ascending order, or near each other, are cheap. The same REQUIRES.
TimestampTz commit_time(CommitTimes* times, XLogRecPtr lsn);

}  // namespace strata::travel
