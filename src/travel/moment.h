// Virtual tablespaces: one number for (LSN, tablespace), agreed on by all processes, so that historical pages live in
// shared buffers under tags of their own and sessions at the same LSN share them.
//
// A number is never given out twice before 2^28 others were, so buffers of a forgotten moment simply age out.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "storage/procnumber.h"
}

#include "travel/counters.h"

namespace strata::travel {

// Tablespace OIDs from here on are virtual. PostgreSQL's OID counter would need 3.7 billion objects to reach them.
inline constexpr Oid kFirstVirtualTablespace = 0xE0000000;

inline bool is_virtual_tablespace(Oid tablespace) { return tablespace >= kFirstVirtualTablespace; }

// What a session travels to.
struct Moment {
  XLogRecPtr lsn = InvalidXLogRecPtr;    // invalid: the present
  Oid database_tablespace = InvalidOid;  // where the session's database lay then
  Counters counters;
  bool superuser = false;  // whether the session's user was a superuser of the present when it left

  [[nodiscard]] bool is_present() const { return lsn == InvalidXLogRecPtr; }
  friend bool operator==(const Moment&, const Moment&) = default;
};

std::size_t moment_table_bytes();
void attach_moment_table(void* memory, bool initialize);

// The virtual tablespace of (lsn, tablespace); the calling process holds it until release_virtual_tablespaces().
// Raises an ERROR (ERRCODE_CONFIGURATION_LIMIT_EXCEEDED) when more pairs are in use than the table holds.
Oid acquire_virtual_tablespace(XLogRecPtr lsn, Oid tablespace);
void release_virtual_tablespaces();

// What a virtual tablespace that this process holds stands for.
void resolve_virtual_tablespace(Oid virtual_tablespace, XLogRecPtr* lsn, Oid* tablespace);

// The moment of a process, for the parallel workers that it starts.
void publish_moment(const Moment& moment);
Moment published_moment(ProcNumber proc);

}  // namespace strata::travel
