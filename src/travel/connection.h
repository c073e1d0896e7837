// A connection with a moment among its options, to a database that the present has under another name or not at all.
#pragma once

namespace strata::travel {

// From _PG_init.
void install_connection_seams();

// Whether the session's database is missing in the present: it was dropped, and the session can be at moments only.
bool database_is_gone();

// Before a switch to the present: takes hold of the session's database, which may be another's at the moment. Returns
// whether the present has it. REQUIRES: a transaction.
bool return_to_database();

// For a switch to the present: what PostgreSQL sets up at connection for a database of the present, once.
void enter_present_database();

}  // namespace strata::travel
