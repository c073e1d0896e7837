#include "travellers/values.h"

extern "C" {
#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/miscnodes.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
}

#include <cstring>

namespace strata::travellers {

namespace {

bool refers_to_objects(Oid type) {
  switch (type) {
    case REGPROCOID:
    case REGPROCEDUREOID:
    case REGOPEROID:
    case REGOPERATOROID:
    case REGCLASSOID:
    case REGCOLLATIONOID:
    case REGTYPEOID:
    case REGROLEOID:
    case REGNAMESPACEOID:
    case REGCONFIGOID:
    case REGDICTIONARYOID:
    case ACLITEMOID:
      return true;
    default:
      return false;
  }
}

bool is_plain(Oid type) {
  if (type >= FirstGenbkiObjectId || refers_to_objects(type)) return false;
  const char kind = get_typtype(type);
  return kind == TYPTYPE_BASE || kind == TYPTYPE_RANGE || kind == TYPTYPE_MULTIRANGE;
}

}  // namespace

bool crosses_as_it_is(Oid type) {
  if (!is_plain(type)) return false;
  const Oid element = get_element_type(type);
  return !OidIsValid(element) || is_plain(element);
}

char* name_of_type(Oid type) { return format_type_be_qualified(type); }

Oid find_type(Oid oid, const char* name) {
  const HeapTuple tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(oid));
  if (HeapTupleIsValid(tuple)) {
    const bool same = reinterpret_cast<Form_pg_type>(GETSTRUCT(tuple))->typisdefined &&
                      std::strcmp(format_type_be_qualified(oid), name) == 0;
    ReleaseSysCache(tuple);
    if (same) return oid;
  }
  ErrorSaveContext context = {};
  context.type = T_ErrorSaveContext;
  Oid found = InvalidOid;
  int32 modifier = -1;
  return parseTypeString(name, &found, &modifier, reinterpret_cast<Node*>(&context)) ? found : InvalidOid;
}

char* print_value(Oid type, Datum value) {
  Oid function = InvalidOid;
  bool is_varlena = false;
  getTypeOutputInfo(type, &function, &is_varlena);
  return OidOutputFunctionCall(function, value);
}

}  // namespace strata::travellers
