#include "travellers/table_query.h"

extern "C" {
#include "access/attnum.h"
#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

#include <cstring>

#include "travellers/values.h"

namespace strata::travellers {

namespace {

bool has_rows(Oid relation) {
  switch (get_rel_relkind(relation)) {
    case RELKIND_RELATION:
    case RELKIND_PARTITIONED_TABLE:
    case RELKIND_VIEW:
    case RELKIND_MATVIEW:
    case RELKIND_FOREIGN_TABLE:
    case RELKIND_SEQUENCE:
      return true;
    default:
      return false;
  }
}

struct Column {
  bool exists;
  Oid type;
};

Column find_column(Oid relation, const char* name) {
  Column column = {};
  const HeapTuple tuple = SearchSysCacheAttName(relation, name);
  if (!HeapTupleIsValid(tuple)) return column;
  const auto* form = reinterpret_cast<Form_pg_attribute>(GETSTRUCT(tuple));
  // A user's column never has a system column's name.
  if (form->attnum > 0) column = Column{true, form->atttypid};
  ReleaseSysCache(tuple);
  return column;
}

bool assignable(Oid from, Oid to) { return can_coerce_type(1, &from, &to, COERCION_ASSIGNMENT); }

void append_column(StringInfo out, Oid relation, const WantedColumn& wanted) {
  const Column column = find_column(relation, wanted.name);
  const char* name = quote_identifier(wanted.name);
  const Oid type = find_type(wanted.type, wanted.type_name);
  if (!column.exists) {
    appendStringInfo(out, "NULL::%s AS %s", OidIsValid(type) ? name_of_type(type) : "pg_catalog.text", name);
    return;
  }
  if (column.type == type || std::strcmp(name_of_type(column.type), wanted.type_name) == 0) {
    appendStringInfo(out, "r.%s", name);
    return;
  }
  if (!OidIsValid(type) || !assignable(column.type, type)) {
    ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
                    errmsg("column \"%s\" was of type %s, which cannot be assigned to type %s", wanted.name,
                           name_of_type(column.type), wanted.type_name),
                    errhint("Read it with strata.query_at(), and cast it there.")));
  }
  appendStringInfo(out, "r.%s::%s AS %s", name, name_of_type(type), name);
}

}  // namespace

Oid find_table(const Table& table) {
  if (has_rows(table.oid)) return table.oid;
  const Oid schema = get_namespace_oid(table.schema, true);
  const Oid relation = OidIsValid(schema) ? get_relname_relid(table.name, schema) : InvalidOid;
  if (!has_rows(relation)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
                    errmsg("table \"%s.%s\" did not exist at this moment", table.schema, table.name)));
  }
  return relation;
}

void append_columns(StringInfo out, Oid relation, const Table& table) {
  for (int i = 0; i < table.count; i++) {
    if (i > 0) appendStringInfoString(out, ", ");
    append_column(out, relation, table.columns[i]);
  }
}

Query query_of_table(const Table& table) {
  const Oid relation = find_table(table);
  StringInfoData text;
  initStringInfo(&text);
  appendStringInfoString(&text, "SELECT t.* FROM (SELECT ");
  append_columns(&text, relation, table);
  appendStringInfo(&text, " FROM %s AS r) AS t",
                   quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)), get_rel_name(relation)));
  if (table.condition[0] != '\0') appendStringInfo(&text, " WHERE %s", table.condition);
  Query query = {};
  query.text = text.data;
  return query;
}

}  // namespace strata::travellers
