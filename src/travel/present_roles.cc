#include "travel/present_roles.h"

extern "C" {
#include "access/htup_details.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_auth_members.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
}

#include "pg/ingest_wait.h"
#include "pg/shared_state.h"
#include "pg/store_reader.h"
#include "travel/catalog_scan.h"
#include "travel/session.h"

namespace strata::travel {

namespace {

// Counts what may have changed in the present's pg_authid and pg_auth_members.
uint64 changes = 1;
bool counts_changes = false;
bool at_switch = false;

// What was noted before the session left, good while nothing has changed. A parallel worker notes nothing.
struct Noted {
  uint64 at_change = 0;
  Oid role = InvalidOid;
  bool superuser = false;
};
Noted noted;

// Roles of the present, read from history. member[i] inherits the privileges of role[i].
struct Roles {
  uint64 at_change = 0;
  List* superusers = NIL;
  List* members = NIL;
  List* roles = NIL;
};
Roles known;
MemoryContext known_context = nullptr;

// A hash value of 0: all rows may have changed.
void count_change(Datum, int, uint32 hash) {
  if (!at_switch || hash != 0) changes++;
}

void count_changes() {
  if (counts_changes) return;
  CacheRegisterSyscacheCallback(AUTHOID, count_change, 0);
  CacheRegisterSyscacheCallback(AUTHMEMMEMROLE, count_change, 0);
  counts_changes = true;
}

bool add_superuser(HeapTuple tuple, void*) {
  const auto* row = reinterpret_cast<Form_pg_authid>(GETSTRUCT(tuple));
  if (row->rolsuper) known.superusers = lappend_oid(known.superusers, row->oid);
  return true;
}

bool add_membership(HeapTuple tuple, void*) {
  const auto* row = reinterpret_cast<Form_pg_auth_members>(GETSTRUCT(tuple));
  if (!row->inherit_option) return true;
  known.members = lappend_oid(known.members, row->member);
  known.roles = lappend_oid(known.roles, row->roleid);
  return true;
}

const Roles& roles_of_present() {
  count_changes();
  AcceptInvalidationMessages();
  if (known.at_change == changes) return known;
  const uint64 before = changes;
  const XLogRecPtr at = newest_lsn_in_history();
  if (known_context == nullptr) {
    known_context = AllocSetContextCreate(TopMemoryContext, "strata roles of the present", ALLOCSET_SMALL_SIZES);
  }
  MemoryContextReset(known_context);
  known = Roles{};
  const MemoryContext caller = MemoryContextSwitchTo(known_context);
  scan_catalog_at(AuthIdRelationId, true, InvalidOid, at, add_superuser, nullptr);
  scan_catalog_at(AuthMemRelationId, true, InvalidOid, at, add_membership, nullptr);
  MemoryContextSwitchTo(caller);
  known.at_change = before;
  return known;
}

}  // namespace

XLogRecPtr newest_lsn_in_history() {
  const XLogRecPtr newest = GetXLogInsertEndRecPtr();
  pg::wait_for_visible(newest);
  return newest;
}

bool note_role_of_present() {
  Assert(!travelling() && IsTransactionState());
  count_changes();
  AcceptInvalidationMessages();
  noted = Noted{changes, GetSessionUserId(), superuser_arg(GetSessionUserId())};
  return noted.superuser;
}

void drop_caches_at_switch() {
  at_switch = true;
  PG_TRY();
  { InvalidateSystemCaches(); }
  PG_FINALLY();
  { at_switch = false; }
  PG_END_TRY();
}

bool drops_caches_at_switch() { return at_switch; }

bool session_is_superuser_now() {
  if (!current_moment().superuser) return false;
  // The leader of a parallel worker has been asked; what a worker asks itself, it asks of its role.
  return noted.role == InvalidOid || superuser_now(noted.role);
}

bool superuser_now(Oid role) {
  if (noted.role == role && noted.role != InvalidOid) {
    AcceptInvalidationMessages();
    if (noted.at_change == changes) return noted.superuser;
  }
  return list_member_oid(roles_of_present().superusers, role);
}

bool has_privileges_now(Oid member, Oid role) {
  if (member == role || superuser_now(member)) return true;
  const Roles& present = roles_of_present();
  List* reached = list_make1_oid(member);
  for (int next = 0; next < list_length(reached); next++) {
    ListCell* who = nullptr;
    ListCell* what = nullptr;
    forboth(who, present.members, what, present.roles) {
      if (lfirst_oid(who) == list_nth_oid(reached, next)) reached = list_append_unique_oid(reached, lfirst_oid(what));
    }
  }
  const bool found = list_member_oid(reached, role);
  list_free(reached);
  return found;
}

}  // namespace strata::travel
