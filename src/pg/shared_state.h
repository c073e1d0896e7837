// The part of shared memory that workers and sessions have in common.
#pragma once

extern "C" {
#include "postgres.h"

#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/proc.h"
#include "storage/spin.h"
}

#include "store/store.h"

namespace strata::pg {

// What the ingest worker is doing. Shown by strata.status().
enum class HistoryState : int {
  kStarting = 0,  // the worker has not come so far yet
  kBaseline = 1,  // the baseline is being taken; nothing can be travelled to
  kRunning = 2,   // WAL is read
  kStopped = 3,   // an error that needs a human: `error` says which; travel up to visible_lsn goes on
};

inline constexpr int kErrorBytes = 1024;

// The last error of history.
struct HistoryError {
  char error[kErrorBytes] = {};  // empty when there is none
  char hint[kErrorBytes] = {};
  TimestampTz time = 0;
};

// Fields under `mutex` unless they are atomic or said to be constant, or said to be under another lock.
struct SharedState {
  slock_t mutex;
  HistoryState state;
  HistoryError last_error;  // under Lock::kHistoryError; written before the state that it explains
  uint64 baseline_blocks_done;
  uint64 baseline_blocks_total;
  Horizon horizon;         // nobody goes to an earlier moment; lsn == kInvalidLsn: no baseline yet
  ProcNumber ingest_proc;  // whose latch to set so that ingest looks for WAL now; INVALID_PROC_NUMBER when none
  ProcNumber flush_proc;   // whose latch to set when a memtable waits to be flushed; INVALID_PROC_NUMBER when none
  // Broadcast when visible_lsn has reached awaited_lsn, when state has changed, and when nobody awaits the first
  // history any more.
  ConditionVariable progress;
  // The least LSN that a session sleeps on `progress` for; kMaxLsn: nobody does. One that has given up may stand here
  // until it is reached.
  pg_atomic_uint64 awaited_lsn;
  // What lies before this LSN may be gone: not above horizon.lsn, raised before anything is deleted. A page as of an
  // earlier LSN must not be believed when it was read.
  pg_atomic_uint64 gc_cutoff;
  pg_atomic_uint64 flush_wanted;  // ingest flushes when it has published this LSN
  // 1 at the very first start, until history has begun, is held up or will take long: who connects waits for it.
  pg_atomic_uint32 first_history_awaited;
};

// Null when strata_enabled is off. Constant after shared memory is set up.
extern SharedState* shared_state;
extern SharedStore* shared_store;

// The store's directory relative to the data directory, which is the working directory of every server process.
inline constexpr const char* kStoreDirectory = "pg_strata";

// GUCs. strata.memtable_size, kilobytes, both memtables together.
extern int memtable_size_kb;
inline Lsn memtable_bytes() { return static_cast<Lsn>(memtable_size_kb) * 1024; }

// Raises an ERROR when strata_enabled is off.
void require_enabled();

void define_shared_settings();  // from _PG_init
void register_shared_state();   // from _PG_init
// From _PG_init: there will be no ingest worker, for this reason.
void begin_stopped(const char* error, const char* hint);

// The horizon moves up; one that is lower than it is has no effect.
void raise_horizon(const Horizon& horizon);

// Whether history at `lsn` may be gone. After a reading that found "no", what was read is right.
bool is_below_gc_cutoff(XLogRecPtr lsn);

// Sets the last error and state, of a history that nobody who connects waits for any more. Any process.
void report_history_error(HistoryState state, const char* error, const char* hint);
// The last of them. REQUIRES: asked for after the state that it is to explain.
HistoryError history_error();
HistoryState history_state();

// Has ingest look at once for WAL, and for what compaction and the flush worker have for it.
void wake_ingest();
// Has the flush worker look for a memtable.
void wake_flusher();

}  // namespace strata::pg
