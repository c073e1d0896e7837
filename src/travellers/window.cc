#include "travellers/window.h"

extern "C" {
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
}

#include "pg/lsn_format.h"
#include "pg/wal_end.h"
#include "travel/session.h"
#include "travellers/functions.h"
#include "travellers/moments.h"

namespace strata::travellers {

namespace {

XLogRecPtr moment_argument(FunctionCallInfo fcinfo, int argument, const char* what) {
  if (PG_ARGISNULL(argument)) {
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must not be null", what)));
  }
  const Oid type = get_fn_expr_argtype(fcinfo->flinfo, argument);
  const Datum value = PG_GETARG_DATUM(argument);
  switch (type) {
    case TIMESTAMPTZOID:
      return moment_of(value, MomentType::kTime);
    case PG_LSNOID:
      return moment_of(value, MomentType::kLsn);
    case TEXTOID:
      return moment_of(value, MomentType::kWords);
    case UNKNOWNOID:
      return moment_in_words(DatumGetCString(value));
    default:
      ereport(ERROR,
              (errcode(ERRCODE_DATATYPE_MISMATCH), errmsg("%s must not be of type %s", what, format_type_be(type)),
               errhint("A moment is a timestamp with time zone, a pg_lsn, or text.")));
  }
  pg_unreachable();
}

// Where the session is.
XLogRecPtr moment_of_session() {
  if (travel::travelling()) return travel::current_moment().lsn;
  return moment_at_lsn(pg::inserted_lsn(GetXLogInsertRecPtr()).value_or(GetXLogInsertEndRecPtr()));
}

}  // namespace

Window window_of(FunctionCallInfo fcinfo, int first) {
  Window window = {};
  window.from = moment_argument(fcinfo, first, "the first moment");
  window.to = PG_ARGISNULL(first + 1) ? moment_of_session() : moment_argument(fcinfo, first + 1, "the last moment");
  if (window.from > window.to) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the first moment lies after the last one"),
                    errdetail("The first is LSN %X/%X, the last LSN %X/%X.", LSN_FORMAT_ARGS(window.from),
                              LSN_FORMAT_ARGS(window.to))));
  }
  return window;
}

}  // namespace strata::travellers
