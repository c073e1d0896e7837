// The door between settings and moments. The settings say what the session asks for; the one way from there to a moment
// leads through here, whatever changed a setting: SET, set_config(), the end of SET LOCAL, RESET, DISCARD ALL,
// connecting. The right to travel, the resolution, the wait for ingest and every other condition belong to it.
#pragma once

extern "C" {
#include "postgres.h"

#include "datatype/timestamp.h"
#include "utils/guc.h"
}

#include <cstdint>

#include "travel/moment.h"

namespace strata::travel {

enum class AskedForm : std::uint8_t {
  kPresent,
  kText,  // of a connection that is being made: not parsed yet
  kTime,
  kLsn,
};

// What one setting asks for; the setting's extra data, so that what was resolved comes back with the setting.
struct Asked {
  AskedForm form = AskedForm::kPresent;
  GucSource source = PGC_S_DEFAULT;
  bool resolved = false;
  TimestampTz time = 0;
  XLogRecPtr lsn = InvalidXLogRecPtr;
  Moment moment;  // where resolved
};

// From the settings' assign hooks; `asked` stays valid until the next call. Null: the present.
void ask_by_time(Asked* asked);
void ask_by_lsn(Asked* asked);

// Counts calls of the two: tells whether a statement has changed what is asked for.
std::uint64_t asked_changes();

// Whether the settings ask for something that has not come through the door.
bool is_unsettled();
// Whether they ask for another moment than the session's current one, settled or not.
bool asks_for_another_moment();

// Whether this process serves a client. Only such a session travels by the settings; a traveller goes where it is sent.
bool is_client_session();
// Whether a value comes from ALTER DATABASE or ALTER ROLE.
bool is_stored(GucSource source);

// Raises an ERROR (ERRCODE_INSUFFICIENT_PRIVILEGE) unless the current role may travel by the setting of this name.
void require_right_to_travel(const char* setting);
// The role for which this traveller works from now on: that one may send travellers of its own.
void work_for(Oid role);

// Leases an LSN for a traveller that is sent there; invalid: the present. `superuser`: whether the
// sending session's role is one where the session is. Raises an ERROR where the horizon has passed it meanwhile.
Moment lease_ordered_moment(XLogRecPtr lsn, bool superuser);

// Through the door: requests the moment that the settings ask for. Raises an ERROR where that is impossible, and the
// settings stay unsettled: no query runs until they are changed or it becomes possible. A traveller is let through:
// what it is sent to has been leased. REQUIRES: a transaction.
void settle();

// The same for settings that came back with the end of a transaction: never raises and never waits. Settings that are
// refused stay unsettled. Of those that ask for the present, before_transaction() is enough.
void settle_before_transaction();
void settle_in_transaction();

// Whether settings are being parsed by the door while the session connects.
bool settling_at_connection();

// A query that reads more than the clock, settings and its parameters has begun in the current transaction.
void note_reading();
// Whether the current transaction has a moment already, so that it cannot leave for another one.
bool has_read_moment();

// Registers the callback that takes what was set at connection through the door. From _PG_init.
void install_door();

}  // namespace strata::travel
