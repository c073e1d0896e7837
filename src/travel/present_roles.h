// What the present says of roles, asked from the past: nobody regains over the server what has been taken away.
//
// The session's own role is known from before it left. Everything else is read from history as of the newest LSN, and
// again when an invalidation message of the present says that it may have changed.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
}

namespace strata::travel {

// Whether the session user is a superuser of the present, and remembers it for the journey. REQUIRES: the session is in
// the present and in a transaction.
bool note_role_of_present();

// Drops all caches as a switch does. What is known of the present stays: nothing has changed there.
void drop_caches_at_switch();
// Whether that is under way: callbacks for all rows then mean nothing.
bool drops_caches_at_switch();

// Whether the role that the session had when it left the present is a superuser there, still.
bool session_is_superuser_now();

// Whether a role is a superuser of the present. May wait until ingest has reached the present, cancellable; raises an
// ERROR where history cannot answer. REQUIRES: the session travels, and is in a transaction.
bool superuser_now(Oid role);

// Whether a role has the privileges of another one in the present, as has_privs_of_role() has it. As superuser_now().
bool has_privileges_now(Oid member, Oid role);

// The LSN at which the present is read: the newest, for which this waits until ingest has reached it.
XLogRecPtr newest_lsn_in_history();

}  // namespace strata::travel
