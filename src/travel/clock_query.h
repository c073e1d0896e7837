// Queries that read nothing but the clock, settings and their parameters: they see no moment, so that a transaction
// that has run only such queries may still leave for one.
#pragma once

extern "C" {
#include "postgres.h"

#include "nodes/plannodes.h"
}

namespace strata::travel {

// REQUIRES: a transaction; looks functions up in pg_proc.
bool reads_only_clock_and_settings(const PlannedStmt* statement);

}  // namespace strata::travel
