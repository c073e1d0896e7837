// The settings strata.travel_time and strata.travel_lsn.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
}

namespace strata::travel {

void define_travel_settings();  // from _PG_init

inline constexpr const char* kTimeSetting = "strata.travel_time";
inline constexpr const char* kLsnSetting = "strata.travel_lsn";

// The time that strata.travel_time and SQL functions mean by a text: what timestamptz reads, or an interval that lies
// in the past, counted as 'now' is from the start of the transaction. Raises an ERROR for anything else. REQUIRES: a
// transaction.
TimestampTz time_in_words(const char* text);

// Makes this process a traveller: one that goes where a session sends it, and nowhere else.
void become_traveller();
bool is_traveller();

// Goes to an LSN that resolve_*() has returned to the session, or to the present where it is invalid. `superuser`:
// whether the session's role is one where the session is. Raises an ERROR where the horizon has passed it meanwhile.
// REQUIRES: a traveller, in a transaction before its first snapshot.
void travel_as_ordered(XLogRecPtr lsn, bool superuser);

}  // namespace strata::travel
