// What processes of strata wait for, as pg_stat_activity shows it (wait_event_type Extension).
#pragma once

extern "C" {
#include "postgres.h"
}

namespace strata::pg {

enum class Wait : int {
  kLayerRead,           // StrataLayerRead: a read from a file of the store
  kLayerWrite,          // StrataLayerWrite
  kLayerSync,           // StrataLayerSync: fsync of a file or of the directory
  kIngestProgress,      // StrataIngestProgress: a session waits until ingest has seen an LSN
  kCommitsUnderWay,     // StrataCommitsUnderWay: a session waits for commits that have taken their timestamp
  kFirstStart,          // StrataFirstStart: a connection waits for the baseline of a small cluster
  kIngestWal,           // StrataIngestWal: ingest has read all WAL that is flushed
  kIngestWalRetry,      // StrataIngestWalRetry: WAL could not be read, and is read again
  kIngestRetry,         // StrataIngestRetry: the disk is full or failing; ingest tries again
  kIngestFlush,         // StrataIngestFlush: both memtables are full; the flush worker has to be done with one
  kIngestStopped,       // StrataIngestStopped: history has stopped, until the configuration is reloaded
  kBaselinePace,        // StrataBaselinePace: the baseline keeps to its pace
  kBaselineRead,        // StrataBaselineRead: a read from a file of the cluster
  kCompactionIdle,      // StrataCompactionIdle: there is nothing to merge
  kCompactionHandover,  // StrataCompactionHandover: ingest has to install a compaction result
  kCompactionRetry,     // StrataCompactionRetry: a merge failed; compaction tries again
  kFlushIdle,           // StrataFlushIdle: there is nothing to flush
  kGivingWay,           // StrataGivingWay: a worker lets sessions have the processors between two time slices of work
  kTravellerIdle,       // StrataTravellerIdle: a traveller waits for the next call of its session
  kTravellerFree,       // StrataTravellerFree: a session waits until one of strata.max_travellers is free
};

// For WaitLatch() and its like. The first call in a process for each event may raise an ERROR.
uint32 wait_event(Wait wait);

}  // namespace strata::pg
