#include "workers/ingest_worker.h"

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "fmgr.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/spin.h"
#include "utils/timestamp.h"

PGDLLEXPORT void strata_ingest_main(Datum argument);
}

#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "ingest/history_ends.h"
#include "pg/guard.h"
#include "pg/lsn_format.h"
#include "pg/pg_env.h"
#include "pg/shared_state.h"
#include "workers/baseline.h"
#include "workers/follower.h"
#include "workers/process.h"
#include "workers/slot.h"
#include "workers/trouble.h"

namespace strata::workers {
namespace {

constexpr long kNapWhileStopped = 60 * 1000;  // milliseconds; a reload of the configuration ends it

void set_state(pg::HistoryState state) {
  SpinLockAcquire(&pg::shared_state->mutex);
  pg::shared_state->state = state;
  SpinLockRelease(&pg::shared_state->mutex);
}

// What the store has, where sessions have not been told of less already.
void publish_horizon(const Horizon& horizon) {
  if (pg_atomic_read_u64(&pg::shared_state->trimmed_lsn) < horizon.lsn) {
    pg_atomic_write_u64(&pg::shared_state->trimmed_lsn, horizon.lsn);
  }
  pg::raise_horizon(horizon);
}

void withdraw_from_shared_state(int, Datum) {
  SpinLockAcquire(&pg::shared_state->mutex);
  pg::shared_state->ingest_proc = INVALID_PROC_NUMBER;
  SpinLockRelease(&pg::shared_state->mutex);
}

void appear_in_shared_state() {
  before_shmem_exit(withdraw_from_shared_state, 0);
  SpinLockAcquire(&pg::shared_state->mutex);
  pg::shared_state->ingest_proc = MyProcNumber;
  pg::shared_state->state = pg::HistoryState::kStarting;
  SpinLockRelease(&pg::shared_state->mutex);
}

void check_settings() {
  if (wal_level < WAL_LEVEL_REPLICA) {
    throw ingest::HistoryEnds("history needs all changes in WAL, but \"wal_level\" is \"minimal\"",
                              "Set \"wal_level\" to \"replica\" and restart the server.");
  }
}

StoreIdentity identity_of_cluster() {
  return {.system_identifier = GetSystemIdentifier(), .timeline = GetWALInsertionTimeLine()};
}

void check_identity(const StoreIdentity& store, const StoreIdentity& cluster) {
  if (store.system_identifier != cluster.system_identifier) {
    throw ingest::HistoryEnds("pg_strata holds the history of another cluster: its system identifier is " +
                                  std::to_string(store.system_identifier) + ", this cluster's is " +
                                  std::to_string(cluster.system_identifier),
                              ingest::kBeginAnewHint);
  }
  if (store.timeline != cluster.timeline) {
    throw ingest::HistoryEnds("pg_strata holds the history of timeline " + std::to_string(store.timeline) +
                                  ", the cluster is on timeline " + std::to_string(cluster.timeline),
                              ingest::kBeginAnewHint);
  }
}

// History is made of flushed WAL, so it can only be ahead where that was lost: other records will get the same LSNs.
void check_wal_is_there(Lsn history_end) {
  const Lsn wal_end = GetFlushRecPtr(nullptr);
  if (history_end <= wal_end) return;
  char ends[64];
  std::snprintf(ends, sizeof(ends), "%X/%X, but WAL ends at %X/%X", LSN_FORMAT_ARGS(history_end),
                LSN_FORMAT_ARGS(wal_end));
  throw ingest::HistoryEnds(std::string("WAL was lost or reset: history goes up to ") + ends, ingest::kBeginAnewHint);
}

// From opening the store to the end of the process. Throws where history cannot go on.
void keep_history() {
  check_settings();
  Env& env = pg::pg_env();
  const StoreIdentity cluster = identity_of_cluster();
  if (!Writer::store_exists(env, pg::kStoreDirectory)) Writer::create_store(env, pg::kStoreDirectory, cluster);
  Writer writer(env, pg::kStoreDirectory, *pg::shared_store);
  check_identity(writer.identity(), cluster);
  check_wal_is_there(writer.flushed_lsn());

  const Lsn kept_from = take_slot();
  if (writer.horizon().lsn == kInvalidLsn) {
    set_state(pg::HistoryState::kBaseline);
    const TimestampTz started = GetCurrentTimestamp();
    take_baseline(writer, kept_from);
    ereport(LOG, (errmsg("strata: baseline complete after %ld ms",
                         TimestampDifferenceMilliseconds(started, GetCurrentTimestamp()))));
  }
  publish_horizon(writer.horizon());
  pg::report_history_error(pg::HistoryState::kRunning, "", "");

  Reader reader(env, pg::kStoreDirectory, pg::shared_store);
  try {
    Follower(writer, reader).run();
  } catch (...) {
    // What was ingested so far stays reachable when history is taken up again.
    try {
      writer.flush();
    } catch (const StoreError& error) {
      report_trouble(error.what());
    }
    throw;
  }
}

void report_end(const std::string& error, const std::string& hint) {
  pg::report_history_error(pg::HistoryState::kStopped, error.c_str(), hint.c_str());
  ereport(WARNING,
          (errmsg("strata: history has stopped: %s", error.c_str()), hint.empty() ? 0 : errhint("%s", hint.c_str())));
}

enum class Outcome { kTrouble, kEnd };

Outcome try_to_keep_history() {
  try {
    keep_history();
  } catch (const ingest::HistoryEnds& end) {
    report_end(end.what(), end.hint());
  } catch (const StoreError& error) {
    if (passes_by_itself(error)) {
      report_trouble(error.what());
      return Outcome::kTrouble;
    }
    report_end(error.what(), error.kind() == ErrorKind::kCorrupt ? ingest::kBeginAnewHint : "");
  } catch (const pg::PgError& error) {
    clean_up_after_error();
    if (passes_by_itself(error)) {
      report_trouble(error.what());
      return Outcome::kTrouble;
    }
    report_end(error.what(), "");
  } catch (const std::bad_alloc&) {
    report_trouble("out of memory");
    return Outcome::kTrouble;
  } catch (const std::exception& error) {
    report_end(error.what(), "");
  }
  return Outcome::kEnd;
}

void run() {
  for (;;) {
    const unsigned reloads = configuration_reloads();
    const Outcome outcome = try_to_keep_history();
    release_slot();
    if (outcome == Outcome::kTrouble) {
      nap(kNapAfterTrouble, pg::Wait::kIngestRetry);
    } else {
      // What a human does about it ends with a reload or a restart.
      while (configuration_reloads() == reloads) nap(kNapWhileStopped, pg::Wait::kIngestStopped);
    }
  }
}

}  // namespace

void register_ingest_worker() { register_worker("strata ingest", "strata_ingest_main"); }

}  // namespace strata::workers

void strata_ingest_main(Datum) {
  strata::workers::start_process();
  strata::workers::appear_in_shared_state();
  strata::pg::guarded([] { strata::workers::run(); });
}
