// The messages with which a traveller answers a request, each with its kind in the first byte.
//
//   kColumns   once, before all rows: the columns
//   kRow       kRowHeaderBytes, then a MinimalTuple over the columns
//   kDone      the last one of a request that went well
//   kError     an ErrorResponse of the frontend/backend protocol, the last one of a request that failed
//   kNotice    a NoticeResponse of it
#pragma once

extern "C" {
#include "postgres.h"

#include "libpq/protocol.h"
}

namespace strata::travellers {

inline constexpr char kColumns = 'T';
inline constexpr char kRow = 'D';
inline constexpr char kDone = 'C';
inline constexpr char kError = PqMsg_ErrorResponse;
inline constexpr char kNotice = PqMsg_NoticeResponse;

// So that the tuple is aligned.
inline constexpr Size kRowHeaderBytes = MAXIMUM_ALIGNOF;

}  // namespace strata::travellers
