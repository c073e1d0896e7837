#include "travellers/version_columns.h"

extern "C" {
#include "catalog/pg_type.h"
#include "utils/builtins.h"
}

namespace strata::travellers {

namespace {

struct Column {
  const char* name;
  Oid type;
};

constexpr Column kColumns[kVersionColumns] = {
    {"strata operation", TEXTOID},         {"strata start lsn", PG_LSNOID},
    {"strata start time", TIMESTAMPTZOID}, {"strata end lsn", PG_LSNOID},
    {"strata end time", TIMESTAMPTZOID},   {"strata xid", XID8OID},
    {"strata end xid", XID8OID},           {"strata ctid", TIDOID},
};

}  // namespace

void describe_version_columns(TupleDesc columns) {
  for (int i = 0; i < kVersionColumns; i++) {
    TupleDescInitEntry(columns, static_cast<AttrNumber>(i + 1), kColumns[i].name, kColumns[i].type, -1, 0);
  }
}

void append_version_columns(StringInfo out) {
  for (const Column& column : kColumns) appendStringInfo(out, "r.%s, ", quote_identifier(column.name));
}

}  // namespace strata::travellers
