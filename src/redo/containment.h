// Runs code that may go wrong in every way, and comes back from it.
//
// The code runs on a stack of its own between guards. SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT and an endless loop end
// it, and the caller goes on where it called. Doc: doc/decisions/0020-redo-is-contained.md.
#pragma once

extern "C" {
#include "postgres.h"
}

namespace strata::redo {

// Why the code did not come to its end. After a fault private memory of the process may be damaged: it has to end.
struct Fault {
  int signal = 0;  // 0: there was none; SIGVTALRM: a step took more than kMaxStepSeconds
};

// Of processor time.
inline constexpr int kMaxStepSeconds = 5;

using Job = void (*)(void* argument);

// Calls job(argument), which must raise no error and throw nothing beyond itself. Not re-entrant.
// REQUIRES: prepare_containment().
Fault run_contained(Job job, void* argument);

// What can fail, once for the process. Raises an ERROR.
void prepare_containment();

// Says that the job has come to another step of bounded length.
void begin_step();

// "signal 11: Segmentation fault", or what it was.
const char* describe(const Fault& fault);

}  // namespace strata::redo
