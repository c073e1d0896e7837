// For tests: lets the server give out a number of a moment that it has given already, as it does after 2^28 of them.
extern "C" {
#include "seams_includes.h"

#include "fmgr.h"
#include "storage/shmem.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(strata_test_set_next_moment_number);
}

Datum strata_test_set_next_moment_number(PG_FUNCTION_ARGS) {
  bool found = false;
  // What is there already is found where the size, as pg_shmem_allocations has it, is right. Its first field counts.
  void* table = ShmemInitStruct("strata moments", PG_GETARG_INT64(1), &found);
  if (found) *static_cast<Oid*>(table) = PG_GETARG_OID(0);
  PG_RETURN_BOOL(found);
}
