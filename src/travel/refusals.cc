// What only the present could answer, and what would change the server: refused while travelling.
extern "C" {
#include "seams_includes.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "seams.h"
}

#include "travel/history.h"
#include "travel/session.h"

namespace strata::travel {

namespace {

Datum refuse(FunctionCallInfo fcinfo) {
  const char* name = fcinfo->flinfo != nullptr ? get_func_name(fcinfo->flinfo->fn_oid) : nullptr;
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("cannot execute %s() while travelling in time", name != nullptr ? name : "this function"),
                  explain_travel()));
  pg_unreachable();
}

// A foreign table's rows are not in this cluster: it could only show those of now. EXPLAIN reads none.
ForeignScanState* init_foreign_scan(ForeignScan* node, EState* estate, int flags) {
  if ((flags & EXEC_FLAG_EXPLAIN_ONLY) == 0) {
    // A join that is done by the foreign server has several.
    const int table = bms_next_member(node->fs_base_relids, -1);
    const char* name = get_rel_name(exec_rt_fetch(static_cast<Index>(table), estate)->relid);
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                    errmsg("cannot read foreign table \"%s\" while travelling in time", name), explain_travel()));
  }
  return strata_real_ExecInitForeignScan(node, estate, flags);
}

Size get_recorded_free_space(Relation relation, BlockNumber) {
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("cannot read the free space map of \"%s\" while travelling in time",
                         RelationGetRelationName(relation)),
                  explain_travel()));
  pg_unreachable();
}

// A tablespace may have been dropped since, and its number given to another one.
Datum tablespace_location(FunctionCallInfo fcinfo) {
  const Oid asked = PG_GETARG_OID(0);
  const Oid tablespace = OidIsValid(asked) ? asked : MyDatabaseTableSpace;
  const char* location = tablespace_location_at(tablespace, current_moment().lsn);
  return location != nullptr ? CStringGetTextDatum(location) : strata_real_pg_tablespace_location(fcinfo);
}

}  // namespace

void install_refusals(bool travel) {
  strata_seams.ExecInitForeignScan = travel ? init_foreign_scan : nullptr;
  strata_seams.pg_tablespace_location = travel ? tablespace_location : nullptr;
  strata_seams.GetRecordedFreeSpace = travel ? get_recorded_free_space : nullptr;
#define REFUSED_FUNCTION(name) strata_seams.name = travel ? refuse : nullptr;
#include "refused_functions.h"
#undef REFUSED_FUNCTION
}

}  // namespace strata::travel
