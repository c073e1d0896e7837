// What the workers are doing beside the state of history, for strata.status().
#pragma once

extern "C" {
#include "postgres.h"

#include "datatype/timestamp.h"
}

#include <cstddef>

namespace strata::pg {

enum class CompactionState : int {
  kStarting = 0,  // the worker has not come so far yet
  kOff = 1,       // strata.compaction is off
  kWaiting = 2,   // history has to run first
  kIdle = 3,      // nothing to merge
  kMerging = 4,
  kResultReady = 5,  // a compaction result waits to be installed by ingest
  kRetrying = 6,     // a merge failed
  kMissing = 7,      // the server has no place for the worker
};

struct CompactionActivity {
  CompactionState state = CompactionState::kStarting;
  char error[1024] = {};  // of the merge that failed last; empty when there was none since compaction went well
  TimestampTz error_time = 0;
};

void register_activity();  // from _PG_init

// From _PG_init: there will be no compaction worker, for this reason.
void begin_without_compaction(const char* error);

// The compaction worker's.
void report_compaction(CompactionState state);
void report_compaction_error(const char* error);
void forget_compaction_error();
[[nodiscard]] CompactionActivity compaction_activity();

// Ingest has read all WAL there was. Only ingest calls it.
void report_end_of_wal();
// When it last had; 0: not since the server's start.
[[nodiscard]] TimestampTz last_end_of_wal();

}  // namespace strata::pg
