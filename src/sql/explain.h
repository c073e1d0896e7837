// EXPLAIN (ANALYZE, STRATA): what a query read of history.
#pragma once

namespace strata::sql {

void install_explain_option();  // from _PG_init

}  // namespace strata::sql
