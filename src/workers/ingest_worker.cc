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

#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <string>

#include "ingest/history_ends.h"
#include "pg/belonging.h"
#include "pg/guard.h"
#include "pg/lsn_format.h"
#include "pg/pg_env.h"
#include "pg/shared_state.h"
#include "workers/baseline.h"
#include "workers/continuity.h"
#include "workers/first_start.h"
#include "workers/wal_reader.h"
#include "workers/priority.h"
#include "workers/process.h"
#include "workers/replication_slot.h"
#include "workers/store_owner.h"
#include "workers/transient_errors.h"
#include "workers/wal_lag.h"

namespace strata::workers {
namespace {

constexpr long kSleepWhileStopped = 1000;  // milliseconds
constexpr long kSleepForFlusher = 100;     // the flush worker sets the latch when it is done
// Between attempts to begin history anew, each of which may cost a checkpoint.
constexpr long kMaxSleepBeforeHistory = 15 * 1000;

// The directory holds a history that was given up and has to go.
bool store_is_obsolete = false;

void set_state(pg::HistoryState state) {
  SpinLockAcquire(&pg::shared_state->mutex);
  pg::shared_state->state = state;
  SpinLockRelease(&pg::shared_state->mutex);
}

// What the store has. In a server that runs already gc_cutoff may be lower, for a session that leases an older LSN.
void publish_horizon(const Horizon& horizon) {
  const Lsn cutoff = pg_atomic_read_u64(&pg::shared_state->gc_cutoff);
  if (cutoff == kInvalidLsn || cutoff == kMaxLsn) {
    pg_atomic_write_u64(&pg::shared_state->gc_cutoff, horizon.lsn);
  }
  pg::raise_horizon(horizon);
}

// From here on nobody reads what the store holds: who has read before believes nothing of it any more.
void withdraw_history() {
  pg_atomic_write_u64(&pg::shared_state->gc_cutoff, kMaxLsn);
  pg_memory_barrier();
  SpinLockAcquire(&pg::shared_state->mutex);
  pg::shared_state->horizon = {};
  SpinLockRelease(&pg::shared_state->mutex);
}

// Who waits for history is told at once. The reason for which it has stopped stays.
void withdraw_from_shared_state(int, Datum) {
  SpinLockAcquire(&pg::shared_state->mutex);
  pg::shared_state->ingest_proc = INVALID_PROC_NUMBER;
  SpinLockRelease(&pg::shared_state->mutex);
  if (pg::history_state() == pg::HistoryState::kStopped) return;
  pg::report_history_error(pg::HistoryState::kStarting, "the process that keeps history has ended",
                           "The server starts it again after a few seconds.");
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
    throw HistoryLost("pg_strata holds the history of another cluster: its system identifier is " +
                      std::to_string(store.system_identifier) + ", this cluster's is " +
                      std::to_string(cluster.system_identifier));
  }
  if (store.timeline != cluster.timeline) {
    throw HistoryLost("pg_strata holds the history of timeline " + std::to_string(store.timeline) +
                      ", the cluster is on timeline " + std::to_string(cluster.timeline));
  }
}

// Which server has the store instead of this one, as it was told last; empty: none.
std::string taken_by;

// Nobody here reads what another server writes.
void report_taken(const std::string& error) {
  // What was to be dropped was another history.
  pg_atomic_write_u32(&pg::shared_belonging->begin_anew, 0);
  store_is_obsolete = false;
  if (error == taken_by) return;
  taken_by = error;
  constexpr const char* kHint = "History goes on here when that server has stopped.";
  withdraw_history();
  pg::report_history_error(pg::HistoryState::kStopped, error.c_str(), kHint);
  ereport(WARNING, (errmsg("strata: history has stopped: %s", error.c_str()), errhint("%s", kHint)));
}

void report_taken_over() {
  if (taken_by.empty()) return;
  taken_by.clear();
  ereport(LOG, (errmsg("strata: the other server has left \"%s\"", pg::kStoreDirectory)));
}

// A file that an earlier writer wanted is still being made.
bool flusher_is_at_it() { return pg::shared_store->flush_job().held_memtable() >= 0; }

FlusherHooks flusher_hooks() {
  return {.wake = pg::wake_flusher,
          .wait =
              [] {
                check_history_goes_on();
                sleep_for(kSleepForFlusher, pg::Wait::kIngestFlush);
              },
          .prove = write_proof};
}

// A copy that was taken while the store was written may lack layers, or have pieces of them.
void check_copy_is_whole(const Writer& writer) {
  for (const LayerInfo& layer : writer.layers()) {
    const std::string path = std::string(pg::kStoreDirectory) + "/" + layer.name;
    if (!pg::pg_env().exists(path) || pg::pg_env().open(path)->size() != layer.bytes) {
      throw HistoryLost("\"pg_strata\" is a copy that is not whole: \"" + layer.name + "\" is missing or torn");
    }
  }
}

std::unique_ptr<Writer> open_writer(const StoreIdentity& cluster, const Ownership& ownership) {
  Env& env = pg::pg_env();
  try {
    if (!Writer::store_exists(env, pg::kStoreDirectory)) Writer::create_store(env, pg::kStoreDirectory, cluster);
    return std::make_unique<Writer>(env, pg::kStoreDirectory, *pg::shared_store, StoreOptions(), flusher_hooks());
  } catch (const StoreError& error) {
    if (!ownership.is_copy || error.kind() != ErrorKind::kCorrupt) throw;
    throw HistoryLost(std::string("\"pg_strata\" is a copy that is not whole: ") + error.what());
  }
}

// Throws where the store is not the history of this cluster.
void check_belonging(const Writer& writer, const StoreIdentity& cluster, const Ownership& ownership) {
  try {
    check_identity(writer.identity(), cluster);
    if (writer.horizon().lsn == kInvalidLsn) return;
    // A slot that has lost its WAL says more than the segment that is gone.
    check_wal_lag();
    check_continuity(writer);
    if (ownership.is_copy) check_copy_is_whole(writer);
  } catch (const HistoryLost& lost) {
    if (!ownership.is_other || pg_atomic_read_u32(&pg::shared_belonging->begin_anew) != 0) throw;
    // Two servers share the folder; what is here is another one's.
    leave_store();
    if (drop_replication_slot()) ask_for_checkpoint();
    throw ingest::HistoryEnds(std::string("\"pg_strata\" holds the history of another data directory: ") + lost.what(),
                              "Give this server a folder of its own, or execute \"SELECT strata.begin_anew()\" as a "
                              "superuser to drop that history.");
  }
}

// From opening the store to the end of the process. Throws where history cannot go on.
void keep_history() {
  check_settings();
  const Ownership ownership = own_store();
  report_taken_over();
  Env& env = pg::pg_env();
  if (store_is_obsolete) {
    while (flusher_is_at_it()) sleep_for(kSleepForFlusher, pg::Wait::kIngestFlush);
    Writer::destroy_store(env, pg::kStoreDirectory);
  }
  store_is_obsolete = false;
  const StoreIdentity cluster = identity_of_cluster();
  const std::unique_ptr<Writer> opened = open_writer(cluster, ownership);
  Writer& writer = *opened;
  const TimestampTz began_checking = GetCurrentTimestamp();
  check_belonging(writer, cluster, ownership);
  if (writer.horizon().lsn != kInvalidLsn) {
    ereport(LOG,
            (errmsg("strata: history goes on at %X/%X: WAL is the one that it was made of, as %zu proofs showed in "
                    "%.1f ms",
                    LSN_FORMAT_ARGS(writer.flushed_lsn()), writer.proofs().size(),
                    static_cast<double>(GetCurrentTimestamp() - began_checking) / 1000.0)));
  }

  const Lsn kept_from = acquire_replication_slot();
  if (writer.horizon().lsn == kInvalidLsn) {
    set_state(pg::HistoryState::kBaseline);
    const TimestampTz started = GetCurrentTimestamp();
    take_baseline(writer, kept_from);
    ereport(LOG, (errmsg("strata: baseline complete after %ld ms",
                         TimestampDifferenceMilliseconds(started, GetCurrentTimestamp()))));
  }
  if (writer.proofs().empty()) writer.add_proof();
  settle_ownership();
  pg::wake_flusher();
  publish_horizon(writer.horizon());
  pg::report_history_error(pg::HistoryState::kRunning, "", "");
  lower_priority();

  Reader reader(env, pg::kStoreDirectory, pg::shared_store);
  try {
    WalReader(writer, reader).run();
  } catch (const HistoryLost&) {
    throw;
  } catch (...) {
    // What was ingested so far stays reachable when history is taken up again.
    try {
      writer.flush();
    } catch (const StoreError& error) {
      report_transient_error(error.what());
    }
    throw;
  }
}

void report_end(const std::string& error, const std::string& hint) {
  pg::report_history_error(pg::HistoryState::kStopped, error.c_str(), hint.c_str());
  ereport(WARNING,
          (errmsg("strata: history has stopped: %s", error.c_str()), hint.empty() ? 0 : errhint("%s", hint.c_str())));
}

// Nothing of the old history is read or kept from here on, whatever the state of its disk.
void give_up_history(const char* reason) {
  constexpr const char* kHint = "A new history begins by itself, with a new baseline.";
  withdraw_history();
  pg_atomic_write_u32(&pg::shared_belonging->begin_anew, 0);
  pg::report_given_up(reason);
  const std::string error = std::string("history was given up: ") + reason;
  pg::report_history_error(pg::HistoryState::kStarting, error.c_str(), kHint);
  ereport(WARNING, (errmsg("strata: %s", error.c_str()), errhint("%s", kHint)));
  store_is_obsolete = true;
}

enum class Outcome { kTransientError, kEnd, kTaken };

Outcome try_to_keep_history() {
  try {
    keep_history();
  } catch (const HistoryLost& lost) {
    give_up_history(lost.what());
    return Outcome::kTransientError;
  } catch (const StoreIsTaken& taken) {
    report_taken(taken.what());
    return Outcome::kTaken;
  } catch (const ingest::HistoryEnds& end) {
    report_end(end.what(), end.hint());
  } catch (const StoreError& error) {
    if (is_transient(error)) {
      report_transient_error(error.what());
      return Outcome::kTransientError;
    }
    report_end(error.what(), error.kind() == ErrorKind::kCorrupt ? ingest::kBeginAnewHint : "");
  } catch (const pg::PgError& error) {
    clean_up_after_error();
    if (is_transient(error)) {
      report_transient_error(error.what());
      return Outcome::kTransientError;
    }
    report_end(error.what(), "");
  } catch (const std::bad_alloc&) {
    report_transient_error("out of memory");
    return Outcome::kTransientError;
  } catch (const std::exception& error) {
    report_end(error.what(), "");
  }
  return Outcome::kEnd;
}

bool history_exists() {
  SpinLockAcquire(&pg::shared_state->mutex);
  const bool exists = pg::shared_state->horizon.lsn != kInvalidLsn;
  SpinLockRelease(&pg::shared_state->mutex);
  return exists;
}

bool history_is_to_begin_anew() {
  try {
    check_history_goes_on();
    return false;
  } catch (const HistoryLost& lost) {
    give_up_history(lost.what());
    return true;
  }
}

void let_go_of_wal() {
  try {
    if (drop_replication_slot()) ask_for_checkpoint();
  } catch (const pg::PgError& error) {
    clean_up_after_error();
    report_transient_error(error.what());
  }
}

bool keeps_too_much_wal() {
  try {
    check_wal_lag();
    return false;
  } catch (const HistoryLost&) {
    return true;
  }
}

// Removes the old history's files, as far as that works now, and lets go of its WAL in any case.
void make_room_for_history() {
  if (!store_is_obsolete) return;
  try {
    if (!flusher_is_at_it()) {
      own_store();
      Writer::destroy_store(pg::pg_env(), pg::kStoreDirectory);
      store_is_obsolete = false;
    }
  } catch (const StoreIsTaken& taken) {
    report_taken(taken.what());
  } catch (const StoreError& error) {
    report_transient_error(error.what());
  }
  let_go_of_wal();
}

void run() {
  long sleep_before_history = kSleepAfterError;
  for (;;) {
    const unsigned reloads = configuration_reloads();
    const Outcome outcome = try_to_keep_history();
    release_replication_slot();
    if (outcome == Outcome::kTaken) {
      if (keeps_too_much_wal()) let_go_of_wal();
      sleep_for(kSleepWhileStopped, pg::Wait::kIngestStopped);
      continue;
    }
    if (outcome == Outcome::kEnd) {
      // What a human does about it ends with a reload, a restart or strata.begin_anew().
      while (configuration_reloads() == reloads && !history_is_to_begin_anew())
        sleep_for(kSleepWhileStopped, pg::Wait::kIngestStopped);
      if (!store_is_obsolete) continue;
    }
    if (!history_exists()) {
      // No WAL is wanted before the next attempt.
      make_room_for_history();
      sleep_for(sleep_before_history, pg::Wait::kIngestRetry);
      sleep_before_history = std::min(2 * sleep_before_history, kMaxSleepBeforeHistory);
    } else {
      sleep_before_history = kSleepAfterError;
      sleep_for(kSleepAfterError, pg::Wait::kIngestRetry);
    }
  }
}

}  // namespace

void register_ingest_worker() {
  const std::string error = register_worker("strata ingest", "strata_ingest_main");
  if (!error.empty()) pg::begin_stopped(error.c_str(), kWorkerHint);
}

}  // namespace strata::workers

void strata_ingest_main(Datum) {
  strata::workers::start_process();
  strata::workers::lower_priority_unless_awaited();
  strata::workers::appear_in_shared_state();
  strata::pg::guarded([] { strata::workers::run(); });
}
