// Classifies errors as transient or permanent, and reports transient ones.
#pragma once

#include <string>

#include "pg/guard.h"
#include "store/error.h"

namespace strata::workers {

inline constexpr long kSleepAfterError = 3000;  // milliseconds

// Disks fill up and come back; broken files do not mend.
[[nodiscard]] bool is_transient(const StoreError& error);
[[nodiscard]] bool is_transient(const pg::PgError& error);

// Shows the error in strata.status() while history's state stays as it is, and in the log once a minute.
void report_transient_error(const std::string& error);
// The transient error is over.
void report_recovery();

}  // namespace strata::workers
