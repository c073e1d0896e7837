// Locks of a travelling session. What it reads cannot change, so locks on relations, pages, tuples and objects of the
// past are granted without a word to anybody: present sessions neither wait for it nor it for them. Access methods lock
// pages in any mode to scan; modes that announce a change are refused for relations and objects, as in recovery.
extern "C" {
#include "seams_includes.h"

#include "miscadmin.h"

#include "seams.h"
}

#include "travel/data_locks.h"
#include "travel/session.h"

namespace strata::travel {

namespace {

LockAcquireResult lock_acquire_extended(const LOCKTAG* tag, LOCKMODE mode, bool session_lock, bool dont_wait,
                                        bool report_memory_error, LOCALLOCK** local_lock, bool log_failure) {
  if (!is_data_lock(tag)) {
    return strata_real_LockAcquireExtended(tag, mode, session_lock, dont_wait, report_memory_error, local_lock,
                                           log_failure);
  }
  if (mode > RowExclusiveLock && is_object_lock(tag)) {
    ereport(ERROR, (errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
                    errmsg("cannot acquire lock mode %s on a relation or object while travelling in time",
                           GetLockmodeName(tag->locktag_lockmethodid, mode)),
                    explain_travel()));
  }
  if (local_lock != nullptr) *local_lock = nullptr;
  // "Already clear": the caller has no invalidation messages to wait for.
  return LOCKACQUIRE_ALREADY_CLEAR;
}

LockAcquireResult lock_acquire(const LOCKTAG* tag, LOCKMODE mode, bool session_lock, bool dont_wait) {
  return lock_acquire_extended(tag, mode, session_lock, dont_wait, true, nullptr, false);
}

bool lock_release(const LOCKTAG* tag, LOCKMODE mode, bool session_lock) {
  if (is_data_lock(tag)) return true;
  return strata_real_LockRelease(tag, mode, session_lock);
}

bool lock_held_by_me(const LOCKTAG* tag, LOCKMODE mode, bool or_stronger) {
  if (is_data_lock(tag)) return true;
  return strata_real_LockHeldByMe(tag, mode, or_stronger);
}

}  // namespace

void install_lock_seams(bool travel) {
  strata_seams.LockAcquire = travel ? lock_acquire : nullptr;
  strata_seams.LockAcquireExtended = travel ? lock_acquire_extended : nullptr;
  strata_seams.LockRelease = travel ? lock_release : nullptr;
  strata_seams.LockHeldByMe = travel ? lock_held_by_me : nullptr;
}

}  // namespace strata::travel
