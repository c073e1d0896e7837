#include "travellers/request.h"

extern "C" {
#include "catalog/pg_type.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
}

#include <cstring>

#include "travellers/carried_settings.h"
#include "travellers/values.h"

namespace strata::travellers {

namespace {

// A value of an untyped literal: the traveller takes its type from where the parameter stands in the query.
void put_value(StringInfo out, Oid type, Datum value) {
  const bool as_text = type == UNKNOWNOID || !crosses_as_it_is(type);
  pq_sendbyte(out, as_text ? 1 : 0);
  if (as_text) {
    pq_sendstring(out, type == UNKNOWNOID ? DatumGetCString(value) : print_value(type, value));
    return;
  }
  int16 length = 0;
  bool by_value = false;
  get_typlenbyval(type, &length, &by_value);
  if (length == -1) value = PointerGetDatum(PG_DETOAST_DATUM(value));
  const Size bytes = datumEstimateSpace(value, false, by_value, length);
  pq_sendint32(out, static_cast<uint32>(bytes));
  enlargeStringInfo(out, static_cast<int>(bytes));
  char* end = out->data + out->len;
  datumSerialize(value, false, by_value, length, &end);
  out->len = static_cast<int>(end - out->data);
}

Parameter take_parameter(StringInfo in) {
  Parameter parameter = {};
  parameter.type = pq_getmsgint(in, 4);
  parameter.type_name = pq_getmsgrawstring(in);
  parameter.null = pq_getmsgbyte(in) != 0;
  if (parameter.null) return parameter;
  parameter.as_text = pq_getmsgbyte(in) != 0;
  if (parameter.as_text) {
    parameter.text = pq_getmsgrawstring(in);
    return parameter;
  }
  const int bytes = static_cast<int>(pq_getmsgint(in, 4));
  char* copy = static_cast<char*>(palloc(bytes));
  pq_copymsgbytes(in, copy, bytes);
  bool null = false;
  parameter.value = datumRestore(&copy, &null);
  return parameter;
}

}  // namespace

void put_orders(StringInfo out, XLogRecPtr lsn, RequestKind kind) {
  Oid role = InvalidOid;
  int security_context = 0;
  GetUserIdAndSecContext(&role, &security_context);
  pq_sendint64(out, lsn);
  pq_sendbyte(out, superuser_arg(role) ? 1 : 0);
  pq_sendint32(out, role);
  pq_sendint32(out, static_cast<uint32>(security_context));
  const int length_at = out->len;
  pq_sendint32(out, 0);
  put_settings(out);
  const uint32 length = pg_hton32(static_cast<uint32>(out->len - length_at - 4));
  std::memcpy(out->data + length_at, &length, sizeof(length));
  pq_sendbyte(out, static_cast<uint8>(kind));
}

Orders take_orders(StringInfo in) {
  Orders orders = {};
  orders.lsn = static_cast<XLogRecPtr>(pq_getmsgint64(in));
  orders.superuser = pq_getmsgbyte(in) != 0;
  orders.role = pq_getmsgint(in, 4);
  orders.security_context = static_cast<int>(pq_getmsgint(in, 4));
  orders.settings_bytes = static_cast<int>(pq_getmsgint(in, 4));
  orders.settings = pq_getmsgbytes(in, orders.settings_bytes);
  orders.kind = static_cast<RequestKind>(pq_getmsgbyte(in));
  return orders;
}

void put_query(StringInfo out, const char* text, int count, const Datum* values, const Oid* types, const bool* nulls) {
  pq_sendstring(out, text);
  pq_sendint32(out, static_cast<uint32>(count));
  for (int i = 0; i < count; i++) {
    pq_sendint32(out, types[i]);
    pq_sendstring(out, name_of_type(types[i]));
    pq_sendbyte(out, nulls[i] ? 1 : 0);
    if (!nulls[i]) put_value(out, types[i], values[i]);
  }
}

Query take_query(StringInfo in) {
  Query query = {};
  query.text = pq_getmsgrawstring(in);
  query.count = static_cast<int>(pq_getmsgint(in, 4));
  query.parameters = static_cast<Parameter*>(palloc0(sizeof(Parameter) * static_cast<Size>(query.count)));
  for (int i = 0; i < query.count; i++) query.parameters[i] = take_parameter(in);
  return query;
}

void put_table(StringInfo out, const Table& table) {
  pq_sendint32(out, table.oid);
  pq_sendstring(out, table.schema);
  pq_sendstring(out, table.name);
  pq_sendint32(out, static_cast<uint32>(table.count));
  for (int i = 0; i < table.count; i++) {
    pq_sendstring(out, table.columns[i].name);
    pq_sendint32(out, table.columns[i].type);
    pq_sendstring(out, table.columns[i].type_name);
  }
  pq_sendstring(out, table.condition);
}

Table take_table(StringInfo in) {
  Table table = {};
  table.oid = pq_getmsgint(in, 4);
  table.schema = pq_getmsgrawstring(in);
  table.name = pq_getmsgrawstring(in);
  table.count = static_cast<int>(pq_getmsgint(in, 4));
  table.columns = static_cast<WantedColumn*>(palloc0(sizeof(WantedColumn) * static_cast<Size>(table.count)));
  for (int i = 0; i < table.count; i++) {
    table.columns[i].name = pq_getmsgrawstring(in);
    table.columns[i].type = pq_getmsgint(in, 4);
    table.columns[i].type_name = pq_getmsgrawstring(in);
  }
  table.condition = pq_getmsgrawstring(in);
  return table;
}

void put_versions(StringInfo out, const Versions& versions) {
  pq_sendint32(out, versions.rights_of);
  pq_sendint64(out, versions.from);
  pq_sendint64(out, versions.begin);
  pq_sendbyte(out, versions.rewritten ? 1 : 0);
  pq_sendbyte(out, static_cast<uint8>(versions.fate));
  pq_sendint64(out, versions.end);
  pq_sendint32(out, versions.end_xid);
  pq_sendbyte(out, versions.every_version ? 1 : 0);
  pq_sendbyte(out, versions.unchanged ? 1 : 0);
}

Versions take_versions(StringInfo in) {
  Versions versions = {};
  versions.rights_of = pq_getmsgint(in, 4);
  versions.from = static_cast<XLogRecPtr>(pq_getmsgint64(in));
  versions.begin = static_cast<XLogRecPtr>(pq_getmsgint64(in));
  versions.rewritten = pq_getmsgbyte(in) != 0;
  versions.fate = static_cast<Fate>(pq_getmsgbyte(in));
  versions.end = static_cast<XLogRecPtr>(pq_getmsgint64(in));
  versions.end_xid = pq_getmsgint(in, 4);
  versions.every_version = pq_getmsgbyte(in) != 0;
  versions.unchanged = pq_getmsgbyte(in) != 0;
  return versions;
}

}  // namespace strata::travellers
