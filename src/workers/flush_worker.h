// The background worker that writes full memtables to layer files.
#pragma once

namespace strata::workers {

void register_flush_worker();  // from _PG_init

}  // namespace strata::workers
