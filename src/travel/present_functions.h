// What the present says of functions, asked from the past: code in C or in an untrusted language runs with the power of
// the server's process, whatever the catalogs of the moment say of it.
//
// Noted before the session leaves the present, at the price of a scan of pg_proc's index behind the functions that
// PostgreSQL itself comes with; after an invalidation read from history as of the newest LSN.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/htup.h"
}

namespace strata::travel {

// REQUIRES: the session is in the present and in a transaction.
void note_functions_of_present();

// Whether the function has the same definition in the present as `row`, its row of pg_proc: language, symbol or source,
// library, kind, arguments and result. May wait until ingest has reached the present, cancellable; raises an ERROR
// where history cannot answer. REQUIRES: the session travels, and is in a transaction; the function is not pinned.
bool same_function_now(HeapTuple row);

// Whether the present lets a role execute it. Requirements as above; false where there is no such function.
bool may_execute_now(Oid function, Oid role);

}  // namespace strata::travel
