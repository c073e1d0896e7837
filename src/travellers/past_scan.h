// Takes the place of the scan of a function in FROM that would first collect all of its rows: strata.query_at() and
// strata.table_at() give them one by one, so that a LIMIT stops their query.
#pragma once

namespace strata::travellers {

void install_past_scan();  // from _PG_init

}  // namespace strata::travellers
