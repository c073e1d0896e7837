// The session's place in time: where it is, where it is asked to be, and the switch between the two.
#pragma once

#include "travel/moment.h"

namespace strata::travel {

// Where this session is. Changed by switch_to_requested() only.
const Moment& current_moment();
inline bool travelling() { return !current_moment().is_present(); }

// Where its settings ask it to be.
const Moment& requested_moment();
void request_moment(const Moment& moment);

// Goes to the requested moment if this is a point where that is possible: outside a transaction, or inside one before
// its first snapshot. Never inside a procedure or DO block: its variables have the types of the moment that it began
// at.
void switch_to_requested();

// Where the session's database lay when the session last held it.
Oid database_tablespace_of_present();

// The same in InitPostgres, where the session has no database yet. REQUIRES: in a transaction, in the present.
void switch_while_connecting(const Moment& moment);
// Where the present has the session's database; InvalidOid where it has not. For a session that was in no database when
// it left.
void note_database_of_present(Oid tablespace);

// A superuser whom a stored setting has put into the past must not take it for the present: a dump, for example.
void tell_superuser();

// How the current moment reads in messages: the time that was asked for, and its LSN.
const char* describe_current_moment();
// How this session returns to the present, as a sentence for hints.
const char* describe_way_back();

// For ereport: the detail (the moment) and the hint (how to return) of an error that is one because of the travel.
int explain_travel();

// Installs the seams and hooks that every process needs. From _PG_init.
void install_session_hooks();

// The sets of seams that are in place only while the session travels.
void install_storage_seams(bool travel);
void install_visibility_seams(bool travel);
void install_catalog_seams(bool travel);
void install_function_seams(bool travel);
void install_lock_seams(bool travel);
void install_error_seams(bool travel);
void install_counter_seams(bool travel);
void install_rights_seams(bool travel);
void install_refusals(bool travel);
void install_code_seams(bool travel);
void install_size_functions(bool travel);
void install_multixact_functions(bool travel);
void install_standby_functions(bool travel);
void install_temporary_file_seams(bool travel);

// Tells the client what kind of server the session is now, by in_hot_standby.
void report_read_only();

// Storage seams that every process needs: any of them may evict a historical page from shared buffers.
void install_permanent_storage_seams();

// Refuses tablespaces with OIDs that stand for moments.
void install_tablespace_check();
// Keeps code of the past from changing the session's moment. From _PG_init.
void install_code_hooks();

// Forget what was cached about the moment before.
void forget_catalog_caches();

}  // namespace strata::travel
