#include "travel/database_hold.h"

extern "C" {
#include "seams_includes.h"

#include "access/parallel.h"
#include "access/xlog.h"
#include "catalog/pg_database_d.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "storage/lwlock.h"
#include "storage/proc.h"

#include "seams.h"
}

#include "pg/max_processes.h"
#include "pg/shared_memory.h"
#include "pg/shared_state.h"
#include "travel/database.h"
#include "travel/history.h"
#include "travel/present_roles.h"

namespace strata::travel {

namespace {

// Its own process goes from kHeld to kLet and back; who takes the database goes from kLet to kTaken.
enum Hold : uint32 { kHeld, kLet, kTaken };

pg_atomic_uint32* holds = nullptr;  // one for each PGPROC
bool exit_callback_registered = false;
bool taken_until_exit = false;
// When the session last held its database.
XLogRecPtr left_at = InvalidXLogRecPtr;

pg_atomic_uint32* own_hold() { return &holds[MyProcNumber]; }

// The next process in this one's place holds its database. Statistics are reported after this.
void hold_at_exit(int, Datum) { taken_until_exit = pg_atomic_exchange_u32(own_hold(), kHeld) == kTaken; }

void leave(Hold hold) {
  if (!exit_callback_registered) {
    before_shmem_exit(hold_at_exit, 0);
    exit_callback_registered = true;
  }
  if (left_at == InvalidXLogRecPtr) left_at = GetXLogInsertEndRecPtr();
  pg_atomic_write_u32(own_hold(), hold);
}

bool change(pg_atomic_uint32* hold, uint32 from, uint32 to) { return pg_atomic_compare_exchange_u32(hold, &from, to); }

// REQUIRES: the caller has locked the database, so that none of these sessions takes hold of it again meanwhile.
void take_from_travellers(Oid database) {
  LWLockAcquire(ProcArrayLock, LW_SHARED);
  for (int i = 0; i < pg::max_processes(); i++) {
    PGPROC* process = GetPGProcByNumber(i);
    if (process->databaseId == database && change(&holds[i], kLet, kTaken)) process->databaseId = InvalidOid;
  }
  LWLockRelease(ProcArrayLock);
}

bool count_other_backends(Oid database, int* backends, int* prepared) {
  take_from_travellers(database);
  return strata_real_CountOtherDBBackends(database, backends, prepared);
}

void terminate_other_backends(Oid database) {
  take_from_travellers(database);
  strata_real_TerminateOtherDBBackends(database);
}

}  // namespace

void register_database_holds() {
  const auto bytes = [] { return sizeof(pg_atomic_uint32) * static_cast<std::size_t>(pg::max_processes()); };
  const auto attach = [](void* memory, bool initialize) {
    holds = static_cast<pg_atomic_uint32*>(memory);
    if (!initialize) return;
    for (int i = 0; i < pg::max_processes(); i++) pg_atomic_init_u32(&holds[i], kHeld);
  };
  pg::register_shared_memory({"strata database holds", bytes, attach});
}

void install_database_hold_seams() {
  strata_seams.CountOtherDBBackends = count_other_backends;
  strata_seams.TerminateOtherDBBackends = terminate_other_backends;
}

void let_go_of_database() {
  if (pg_atomic_read_u32(own_hold()) == kHeld) leave(kLet);
}

bool hold_database() {
  if (pg_atomic_read_u32(own_hold()) != kHeld && !change(own_hold(), kLet, kHeld)) return false;
  left_at = InvalidXLogRecPtr;
  return true;
}

bool database_was_taken() { return taken_until_exit || pg_atomic_read_u32(own_hold()) == kTaken; }

void connect_to_taken_database() { leave(kTaken); }

void finish_connecting_to_taken_database() {
  if (InitializingParallelWorker && pg_atomic_read_u32(&holds[ParallelLeaderProcNumber]) == kTaken) leave(kTaken);
  if (database_was_taken()) MyProc->databaseId = InvalidOid;
}

bool reclaim_database(Oid* tablespace) {
  Assert(database_was_taken());
  LOCKTAG tag;
  SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, MyDatabaseId, 0);
  // The lock of a connection to the database, from the present's table of locks.
  strata_real_LockAcquire(&tag, RowExclusiveLock, false, false);
  const XLogRecPtr now = newest_lsn_in_history();
  const DatabaseRow row = database_row_at(MyDatabaseId, now);
  const bool there = row.valid && is_same_database(MyDatabaseId, left_at, now);
  if (there) {
    *tablespace = row.tablespace;
    MyProc->databaseId = MyDatabaseId;
    pg_atomic_write_u32(own_hold(), kHeld);
    left_at = InvalidXLogRecPtr;
  }
  strata_real_LockRelease(&tag, RowExclusiveLock, false);
  return there;
}

// Whoever makes a database writes its directory before its row can be seen; who moves one, or copies one, has the row.
bool is_same_database(Oid database, XLogRecPtr since, XLogRecPtr until) {
  if (pg::is_below_gc_cutoff(since)) return false;
  for (const XLogRecPtr lsn : directory_events(database, since, until)) {
    if (database_row_at(database, lsn).tablespace == InvalidOid) return false;
  }
  return true;
}

}  // namespace strata::travel
