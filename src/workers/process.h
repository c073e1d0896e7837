// What the ingest worker needs as a process of the server: signals, sleeping, cleaning up after errors.
#pragma once

namespace strata::workers {

// Installs signal handlers, then unblocks signals; gives the process the memory context and the resource owner in
// which it works. REQUIRES: called once, first.
void start_process();

// Exits when the server wants it, and reads the configuration again after a SIGHUP. Call it often.
void handle_interrupts();

// How often the configuration was read again.
unsigned configuration_reloads();

// Sleeps until the timeout is over or the latch is set, then handles interrupts.
void nap(long milliseconds);

// Releases what an ERROR left behind. REQUIRES: the error has been caught.
void clean_up_after_error();

}  // namespace strata::workers
