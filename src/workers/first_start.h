// The very first start of a cluster with strata.
#pragma once

namespace strata::workers {

// Sessions that connect right after that start wait until history has begun, two seconds at most, so that what they
// do first can be travelled to. From _PG_init.
void install_first_start_hook();

}  // namespace strata::workers
