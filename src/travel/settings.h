// The settings strata.travel_time and strata.travel_lsn.
#pragma once

namespace strata::travel {

void define_travel_settings();  // from _PG_init

}  // namespace strata::travel
