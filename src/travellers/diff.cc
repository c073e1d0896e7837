// strata.diff(): how the rows of a table differ between two moments, from their versions in between.
extern "C" {
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/bitmapset.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/pg_lsn.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/tuplestore.h"
}

#include "travellers/functions.h"
#include "travellers/values.h"
#include "travellers/window.h"

namespace strata::travellers {

namespace {

constexpr long kRowsAtOnce = 1000;

// The columns by which rows are the same; null where there are none.
const Bitmapset* key_of(Relation relation) {
  const Bitmapset* key = RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_PRIMARY_KEY);
  return key != nullptr ? key : RelationGetIndexAttrBitmap(relation, INDEX_ATTR_BITMAP_IDENTITY_KEY);
}

// By their key, or by all of their text and a number for those with the same.
void append_match(StringInfo out, Relation relation) {
  const Bitmapset* key = key_of(relation);
  if (key == nullptr) {
    appendStringInfoString(out, "o.r::pg_catalog.text = n.r::pg_catalog.text AND o.i = n.i");
    return;
  }
  int member = -1;
  for (bool first = true; (member = bms_next_member(key, member)) >= 0; first = false) {
    const int number = member + FirstLowInvalidHeapAttributeNumber;
    const char* name = quote_identifier(NameStr(TupleDescAttr(RelationGetDescr(relation), number - 1)->attname));
    appendStringInfo(out, "%s(o.r).%s = (n.r).%s", first ? "" : " AND ", name, name);
  }
}

void append_side(StringInfo out, const char* condition, bool numbered) {
  appendStringInfo(out, "(SELECT true AS there, v.row AS r%s FROM v WHERE %s)",
                   numbered ? ", pg_catalog.row_number() OVER (PARTITION BY v.row::pg_catalog.text) AS i" : "",
                   condition);
}

char* query_of_diff(Oid row_type) {
  Relation relation = table_open(get_typ_typrelid(row_type), AccessShareLock);
  const bool numbered = key_of(relation) == nullptr;
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfo(&text,
                   "WITH v AS MATERIALIZED (SELECT * FROM strata.versions(NULL::%s, $1, $2)) "
                   "SELECT CASE WHEN o.there IS NULL THEN 'I' WHEN n.there IS NULL THEN 'D' ELSE 'U' END, o.r, n.r, "
                   "CASE WHEN o.there AND n.there THEN ARRAY(SELECT a.key FROM pg_catalog.jsonb_each("
                   "pg_catalog.to_jsonb(o.r)) AS a JOIN pg_catalog.jsonb_each(pg_catalog.to_jsonb(n.r)) AS b "
                   "ON a.key = b.key WHERE a.value <> b.value ORDER BY a.key) END FROM ",
                   name_of_type(row_type));
  append_side(&text, "v.start_lsn IS NULL", numbered);
  appendStringInfoString(&text, " AS o FULL JOIN ");
  append_side(&text, "v.end_lsn IS NULL AND v.operation <> 'D'", numbered);
  appendStringInfoString(&text, " AS n ON ");
  append_match(&text, relation);
  appendStringInfoString(&text, " WHERE o.there IS NULL OR n.there IS NULL OR o.r OPERATOR(pg_catalog.*<>) n.r");
  table_close(relation, NoLock);
  return text.data;
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_diff);
Datum strata_diff(PG_FUNCTION_ARGS) {
  const Window window = window_of(fcinfo, 1);
  const Oid row_type = get_fn_expr_argtype(fcinfo->flinfo, 0);
  if (!OidIsValid(get_typ_typrelid(row_type))) {
    ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
                    errmsg("type %s is not the row type of a table", format_type_be(row_type)),
                    errhint("Call it as strata.diff(NULL::mytable, from_moment, to_moment).")));
  }
  InitMaterializedSRF(fcinfo, 0);
  const auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);

  SPI_connect();
  Oid types[] = {PG_LSNOID, PG_LSNOID};
  Datum values[] = {LSNGetDatum(window.from), LSNGetDatum(window.to)};
  const Portal portal = SPI_cursor_open_with_args(nullptr, query_of_diff(row_type), 2, types, values, nullptr, true, 0);
  for (;;) {
    SPI_cursor_fetch(portal, true, kRowsAtOnce);
    const uint64 rows = SPI_processed;
    for (uint64 i = 0; i < rows; i++) tuplestore_puttuple(info->setResult, SPI_tuptable->vals[i]);
    SPI_freetuptable(SPI_tuptable);
    if (rows == 0) break;
  }
  SPI_cursor_close(portal);
  SPI_finish();
  return 0;
}

}  // extern "C"

}  // namespace strata::travellers
