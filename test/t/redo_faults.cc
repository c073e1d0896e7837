// For tests: the redo of generic records (bloom indexes) goes wrong in the way that strata_test.redo_fault names.
// Loaded by shared_preload_libraries. The server's own recovery is left alone.
extern "C" {
#include "seams_includes.h"

#include "access/generic_xlog.h"
#include "access/rmgr.h"
#include "access/xlog_internal.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/guc.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);
}

#include <csignal>
#include <cstdlib>
#include <cstring>

namespace {

char* fault = nullptr;
void (*real_redo)(XLogReaderState*) = nullptr;
volatile int zero = 0;
volatile int some = 1000;
// Read at run time, so that no compiler sees where it points.
volatile char* volatile nowhere = reinterpret_cast<volatile char*>(16);

// Overwrites what lies above it on the stack, as arrays do that take more than they hold.
[[gnu::noinline]] void smash_stack() {
  volatile char here[16];
  for (volatile char* at = here;; ++at) *at = 0x55;
}

[[gnu::noinline]] int recurse(int depth) {
  volatile char frame[1024];
  frame[depth % 1024] = static_cast<char>(depth);
  return depth < 0 ? 0 : recurse(depth + 1) + frame[depth % 1024];
}

void go_wrong() {
  if (std::strcmp(fault, "segv") == 0) *nowhere = 1;
  if (std::strcmp(fault, "fpe") == 0) zero = some / zero;
  if (std::strcmp(fault, "ill") == 0) __builtin_trap();
  if (std::strcmp(fault, "abort") == 0) std::abort();
  if (std::strcmp(fault, "smash") == 0) smash_stack();
  if (std::strcmp(fault, "recurse") == 0) zero = recurse(0);
  if (std::strcmp(fault, "loop") == 0) {
    for (;;) zero = 0;
  }
  if (std::strcmp(fault, "panic") == 0) elog(PANIC, "redo panics");
  if (std::strcmp(fault, "error") == 0) elog(ERROR, "redo raises an error");
  // As segv, and in a critical section, with a buffer pinned.
  if (std::strcmp(fault, "midway") == 0) {
    START_CRIT_SECTION();
    *nowhere = 1;
  }
}

void redo(XLogReaderState* record) {
  if (!AmStartupProcess()) {
    if (std::strcmp(fault, "midway") == 0) {
      Buffer buffer = InvalidBuffer;
      (void)XLogReadBufferForRedo(record, 0, &buffer);
    }
    go_wrong();
  }
  real_redo(record);
}

}  // namespace

void _PG_init() {
  DefineCustomStringVariable("strata_test.redo_fault", "How redo goes wrong.", nullptr, &fault, "", PGC_USERSET, 0,
                             nullptr, nullptr, nullptr);
  real_redo = RmgrTable[RM_GENERIC_ID].rm_redo;
  RmgrTable[RM_GENERIC_ID].rm_redo = redo;
}
