// For tests: takes the locks that access methods by others take.
extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "storage/lmgr.h"
#include "utils/rel.h"

#include "access/relation.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(strata_test_lock);
}

// strata_test_lock(relation, what, mode): takes and gives back the lock on block 0, its first tuple, the relation's
// extension, the relation, or an object.
Datum strata_test_lock(PG_FUNCTION_ARGS) {
  Relation relation = relation_open(PG_GETARG_OID(0), AccessShareLock);
  const int what = PG_GETARG_INT32(1);
  const LOCKMODE mode = PG_GETARG_INT32(2);
  ItemPointerData tuple;
  ItemPointerSet(&tuple, 0, 1);
  bool taken = true;
  switch (what) {
    case 0:
      LockPage(relation, 0, mode);
      UnlockPage(relation, 0, mode);
      taken = ConditionalLockPage(relation, 0, mode);
      UnlockPage(relation, 0, mode);
      break;
    case 1:
      LockTuple(relation, &tuple, mode);
      UnlockTuple(relation, &tuple, mode);
      break;
    case 2:
      LockRelationForExtension(relation, mode);
      UnlockRelationForExtension(relation, mode);
      break;
    case 3:
      LockRelation(relation, mode);
      UnlockRelation(relation, mode);
      break;
    default:
      LockDatabaseObject(2615, 2200, 0, mode);
      UnlockDatabaseObject(2615, 2200, 0, mode);
      break;
  }
  relation_close(relation, AccessShareLock);
  PG_RETURN_BOOL(taken);
}
