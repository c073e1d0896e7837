// A session in the past needs nothing of its database in the present. While it travels it lets DROP DATABASE and its
// like pass, as if it were not connected; before it returns it takes hold of the database again, or learns that it is
// gone.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
}

namespace strata::travel {

void register_database_holds();      // from _PG_init
void install_database_hold_seams();  // from _PG_init

// The session travels: whoever wants its database for itself may take it from now on.
void let_go_of_database();
// Takes hold again where nobody has taken the database. Returns whether the session holds it. Any context.
bool hold_database();
bool database_was_taken();
// While the session connects: the database is somebody else's already.
void connect_to_taken_database();
// Not before PostgreSQL has written the database into the process's entry.
void finish_connecting_to_taken_database();

// For a database that was taken: waits for who has it, and takes hold of it again where the present still has it, under
// whatever name. Returns whether it has, and where it lies. REQUIRES: the session travels, in a transaction.
bool reclaim_database(Oid* tablespace);

// Whether all of a database's life from `since` to `until` is that of one database: its OID can be used again.
bool is_same_database(Oid database, XLogRecPtr since, XLogRecPtr until);

}  // namespace strata::travel
