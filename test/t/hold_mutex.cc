// For tests: holds the mutex of strata's shared memory, as a worker does that is stopped at the wrong moment.
extern "C" {
#include "seams_includes.h"

#include "fmgr.h"
#include "storage/shmem.h"
#include "utils/builtins.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(strata_test_hold_mutex);
}

#include <unistd.h>

#include <cstdio>

#include "pg/shared_state.h"

// Arguments: a file that is made when the mutex is held, and one that ends it.
Datum strata_test_hold_mutex(PG_FUNCTION_ARGS) {
  const char* begins = text_to_cstring(PG_GETARG_TEXT_PP(0));
  const char* ends = text_to_cstring(PG_GETARG_TEXT_PP(1));
  bool found = false;
  auto* state =
      static_cast<strata::pg::SharedState*>(ShmemInitStruct("strata state", sizeof(strata::pg::SharedState), &found));
  if (!found) elog(ERROR, "strata is not on");
  SpinLockAcquire(&state->mutex);
  if (std::FILE* file = std::fopen(begins, "w")) std::fclose(file);
  while (access(ends, F_OK) != 0) pg_usleep(1000);
  SpinLockRelease(&state->mutex);
  PG_RETURN_VOID();
}
