// strata.max_travellers and strata.traveller_idle_time.
#pragma once

namespace strata::travellers {

// Travellers that the server may have at once.
int max_travellers();

// For how long a traveller waits for its session's next call before it ends, in milliseconds.
int idle_time_ms();

void define_settings();  // from _PG_init

}  // namespace strata::travellers
