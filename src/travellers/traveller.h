// The background worker `strata traveller`: waits for requests of its session, goes to their moments, answers them.
#pragma once

extern "C" {
#include "postgres.h"

#include "postmaster/bgworker.h"
}

namespace strata::travellers {

// Registers a traveller at a channel that this session has claimed. False where the server has no place for it.
bool start_traveller(int channel_index, BackgroundWorkerHandle** handle);

}  // namespace strata::travellers
