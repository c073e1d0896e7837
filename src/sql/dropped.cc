// strata.ended_objects(): what a catalog's pages say of dropped objects.
extern "C" {
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/pg_lsn.h"
#include "utils/tuplestore.h"
#include "utils/xid8.h"
}

#include "sql/prerequisites.h"
#include "travel/door.h"
#include "travel/resolve.h"
#include "travel/settings.h"
#include "versions/ended_rows.h"

namespace strata::sql {

namespace {

versions::Catalog catalog_of(Oid relation) {
  switch (relation) {
    case RelationRelationId:
    case ProcedureRelationId:
    case TypeRelationId:
    case NamespaceRelationId:
      return {relation, false};
    case DatabaseRelationId:
      return {relation, true};
    default:
      ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                      errmsg("cannot look for dropped objects in \"%s\"", get_rel_name(relation)),
                      errhint("It is done for pg_class, pg_proc, pg_type, pg_namespace and pg_database.")));
  }
  pg_unreachable();
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_ended_objects);
Datum strata_ended_objects(PG_FUNCTION_ARGS) {
  require_present("look for dropped objects");
  travel::require_right_to_travel(travel::kLsnSetting);
  const Horizon horizon = require_horizon();
  if (PG_ARGISNULL(0))
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the catalog must not be null")));
  const versions::Catalog catalog = catalog_of(PG_GETARG_OID(0));
  const XLogRecPtr until = travel::resolve_lsn(PG_ARGISNULL(2) ? wal_end() : PG_GETARG_LSN(2));
  const XLogRecPtr since = PG_ARGISNULL(1) ? horizon.lsn : travel::resolve_lsn(PG_GETARG_LSN(1));
  const char* name = PG_ARGISNULL(3) ? nullptr : text_to_cstring(PG_GETARG_TEXT_PP(3));

  versions::EndedRow* rows = nullptr;
  const int count = versions::ended_rows(catalog, since, until, name, &rows);
  travel::require_above_gc_cutoff(since);
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  for (int i = 0; i < count; i++) {
    Datum values[] = {ObjectIdGetDatum(rows[i].oid), CStringGetTextDatum(NameStr(rows[i].name)),
                      LSNGetDatum(rows[i].lsn), FullTransactionIdGetDatum(rows[i].xid)};
    bool nulls[] = {false, false, false, false};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
  return Datum{0};
}

}  // extern "C"

}  // namespace strata::sql
