// What a worker needs as a process of the server: signals, sleeping, cleaning up after errors.
#pragma once

#include <string>

#include "pg/wait_events.h"

namespace strata::workers {

// Installs signal handlers, then unblocks signals; gives the process the memory context and the resource owner in
// which it works. REQUIRES: called once, first.
void start_process();

// Registers a worker that starts with the server and again whenever it ends. `main` is an exported function. Returns
// why there will be none, which the log says as well; empty: there will. REQUIRES: called from _PG_init while the
// postmaster preloads libraries.
std::string register_worker(const char* name, const char* main);

inline constexpr const char* kWorkerHint = "Raise \"max_worker_processes\" and restart the server.";

// Exits when the server wants it, and reads the configuration again after a SIGHUP. Call it often.
void handle_interrupts();

// How often the configuration was read again.
unsigned configuration_reloads();

// Sleeps until the timeout is over or the latch is set, then handles interrupts. It shows as `wait`.
void sleep_for(long milliseconds, pg::Wait wait);

// Releases what an ERROR left behind. REQUIRES: the error has been caught.
void clean_up_after_error();

}  // namespace strata::workers
