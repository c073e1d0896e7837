// For shared_preload_libraries of a server that was recovered to a point: its sessions leave it as it is.
//
// What they read cannot change, so they need no lock on it. Recovery holds the exclusive locks of transactions that
// were running at the point, prepared ones among them, and would keep pg_dump, or even the start of a session, waiting
// for ever. Where recovery could not pause and came to its end, they must not prune the pages that they read either.
extern "C" {
#include "seams_includes.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "seams.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);
}

#include "travel/data_locks.h"

namespace {

bool is_needless(const LOCKTAG* tag) { return AmRegularBackendProcess() && strata::travel::is_data_lock(tag); }

LockAcquireResult acquire_extended(const LOCKTAG* tag, LOCKMODE mode, bool session_lock, bool dont_wait,
                                   bool report_memory_error, LOCALLOCK** local_lock, bool log_failure) {
  if (!is_needless(tag)) {
    return strata_real_LockAcquireExtended(tag, mode, session_lock, dont_wait, report_memory_error, local_lock,
                                           log_failure);
  }
  if (local_lock != nullptr) *local_lock = nullptr;
  return LOCKACQUIRE_ALREADY_CLEAR;
}

LockAcquireResult acquire(const LOCKTAG* tag, LOCKMODE mode, bool session_lock, bool dont_wait) {
  return acquire_extended(tag, mode, session_lock, dont_wait, true, nullptr, false);
}

bool release(const LOCKTAG* tag, LOCKMODE mode, bool session_lock) {
  return is_needless(tag) || strata_real_LockRelease(tag, mode, session_lock);
}

bool held_by_me(const LOCKTAG* tag, LOCKMODE mode, bool or_stronger) {
  return is_needless(tag) || strata_real_LockHeldByMe(tag, mode, or_stronger);
}

bool recovery_in_progress() { return AmRegularBackendProcess() || strata_real_RecoveryInProgress(); }

}  // namespace

void _PG_init(void) {
  strata_seams.RecoveryInProgress = recovery_in_progress;
  strata_seams.LockAcquire = acquire;
  strata_seams.LockAcquireExtended = acquire_extended;
  strata_seams.LockRelease = release;
  strata_seams.LockHeldByMe = held_by_me;
}
