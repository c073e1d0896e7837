// Where the commit log keeps the status of a transaction: two bits in a page of pg_xact.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/clog.h"
}

namespace strata::pg {

inline constexpr uint32 kStatusBits = 2;
inline constexpr uint32 kXidsPerByte = BITS_PER_BYTE / kStatusBits;
inline constexpr uint32 kXidsPerPage = BLCKSZ * kXidsPerByte;

// The page that has it.
inline uint32 commit_log_page_of(TransactionId xid) { return xid / kXidsPerPage; }

// Where it stands in that page.
inline uint32 status_byte(TransactionId xid) { return xid % kXidsPerPage / kXidsPerByte; }
inline uint32 status_shift(TransactionId xid) { return xid % kXidsPerByte * kStatusBits; }

inline constexpr uint32 kStatusMask = (1U << kStatusBits) - 1;

// What that page says of it, and saying another.
inline XidStatus status_on(const char* page, TransactionId xid) {
  return static_cast<XidStatus>(static_cast<uint8>(page[status_byte(xid)]) >> status_shift(xid) & kStatusMask);
}
inline void set_status_on(char* page, TransactionId xid, XidStatus status) {
  char& byte = page[status_byte(xid)];
  const uint32 others = static_cast<uint8>(byte) & ~(kStatusMask << status_shift(xid));
  byte = static_cast<char>(others | static_cast<uint32>(status) << status_shift(xid));
}

}  // namespace strata::pg
