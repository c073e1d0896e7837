// For tests: lets the server give an OID again that it has given already, as it does once its counter has begun anew.
extern "C" {
#include "seams_includes.h"

#include "access/transam.h"
#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(strata_test_set_next_oid);
}

Datum strata_test_set_next_oid(PG_FUNCTION_ARGS) {
  LWLockAcquire(OidGenLock, LW_EXCLUSIVE);
  TransamVariables->nextOid = PG_GETARG_OID(0);
  // The next one is logged.
  TransamVariables->oidCount = 0;
  LWLockRelease(OidGenLock);
  PG_RETURN_VOID();
}
