// Errors that history meets: which ones to wait out, and how they are told.
#pragma once

#include <string>

#include "pg/guard.h"
#include "store/error.h"

namespace strata::workers {

inline constexpr long kNapAfterTrouble = 3000;  // milliseconds

// Disks fill up and come back; broken files do not mend.
[[nodiscard]] bool passes_by_itself(const StoreError& error);
[[nodiscard]] bool passes_by_itself(const pg::PgError& error);

// Shows the error in strata.status() while history's state stays as it is, and in the log once a minute.
void report_trouble(const std::string& error);
// The trouble is over.
void report_recovery();

}  // namespace strata::workers
