// Virtual tablespaces: one number for (LSN, tablespace, database), agreed on by all processes, so that historical pages
// live in shared buffers under tags of their own and sessions at the same LSN share them. Such tags name no database:
// what DROP DATABASE does to the pages of one in shared buffers is of the present.
//
// A number is never given out twice before 2^28 others were, so buffers of a forgotten moment simply age out; and never
// while a pair of the table, or a tablespace of the cluster, has it.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "datatype/timestamp.h"
#include "storage/procnumber.h"
}

#include "travel/counters.h"

namespace strata::travel {

// Virtual tablespaces have OIDs from here on. A tablespace of the cluster may have one, too: PostgreSQL's OID counter
// wraps around, and strata refuses such a tablespace only where it is on when that is made.
inline constexpr Oid kFirstVirtualTablespace = 0xE0000000;

inline bool in_virtual_range(Oid tablespace) { return tablespace >= kFirstVirtualTablespace; }

// A tablespace of the cluster has this OID. Asks the file system.
bool tablespace_exists(Oid tablespace);

// Pages with this tablespace in their tag are history, and have no file. In any process.
inline bool is_virtual_tablespace(Oid tablespace) {
  return in_virtual_range(tablespace) && !tablespace_exists(tablespace);
}

// What a session travels to.
struct Moment {
  XLogRecPtr lsn = InvalidXLogRecPtr;    // invalid: the present
  TimestampTz time = 0;                  // what was asked for; 0: an LSN was
  Oid database_tablespace = InvalidOid;  // where the session's database lay then
  Counters counters;
  bool database_gone = false;  // the session's database is missing in the present, where it cannot go
  bool superuser = false;      // whether the session's user was a superuser of the present when it left

  [[nodiscard]] bool is_present() const { return lsn == InvalidXLogRecPtr; }
  friend bool operator==(const Moment&, const Moment&) = default;
};

void register_moment_table();  // from _PG_init

// The virtual tablespace of (lsn, tablespace, database); the calling process holds it until
// release_virtual_tablespaces(). Raises an ERROR (ERRCODE_CONFIGURATION_LIMIT_EXCEEDED) when more pairs are in use than
// the table holds.
Oid acquire_virtual_tablespace(XLogRecPtr lsn, Oid tablespace, Oid database);
void release_virtual_tablespaces();
// Only the one that was acquired last: for another LSN than the session's, for a while.
void release_virtual_tablespace(Oid virtual_tablespace);

// Whether this process holds it.
bool holds_virtual_tablespace(Oid virtual_tablespace);
// For a tablespace of the cluster that nobody can travel to. Raises an ERROR.
[[noreturn]] void raise_tablespace_in_virtual_range(Oid tablespace);

// What a virtual tablespace that this process holds stands for.
void resolve_virtual_tablespace(Oid virtual_tablespace, XLogRecPtr* lsn, Oid* tablespace, Oid* database);

// The moment of a process, for the parallel workers that it starts.
void publish_moment(const Moment& moment);
Moment published_moment(ProcNumber proc);

}  // namespace strata::travel
