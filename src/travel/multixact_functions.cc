// pg_get_multixact_members(), which reads the present's files, answered from the store.
extern "C" {
#include "seams_includes.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "seams.h"
}

#include "pg/lsn_format.h"
#include "travel/session.h"
#include "travel/transactions.h"

namespace strata::travel {

namespace {

const char* mode_name(MultiXactStatus status) {
  switch (status) {
    case MultiXactStatusForKeyShare:
      return "keysh";
    case MultiXactStatusForShare:
      return "sh";
    case MultiXactStatusForNoKeyUpdate:
      return "fornokeyupd";
    case MultiXactStatusForUpdate:
      return "forupd";
    case MultiXactStatusNoKeyUpdate:
      return "nokeyupd";
    case MultiXactStatusUpdate:
      return "upd";
  }
  return "unknown";
}

Datum get_multixact_members(FunctionCallInfo fcinfo) {
  const MultiXactId multixact = PG_GETARG_TRANSACTIONID(0);
  if (multixact < FirstMultiXactId) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid MultiXactId: %u", multixact)));
  }
  if (!MultiXactIdPrecedes(multixact, current_moment().counters.next_multixact)) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("MultiXactId %u has not been created yet at LSN %X/%X",
                                                              multixact, LSN_FORMAT_ARGS(current_moment().lsn))));
  }
  MultiXactMember* members = nullptr;
  const int count = multixact_members_at(multixact, current_moment().lsn, &members);
  InitMaterializedSRF(fcinfo, 0);
  const auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  for (int i = 0; i < count; i++) {
    Datum values[] = {TransactionIdGetDatum(members[i].xid), CStringGetTextDatum(mode_name(members[i].status))};
    bool nulls[] = {false, false};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
  return Datum{0};
}

}  // namespace

void install_multixact_functions(bool travel) {
  strata_seams.pg_get_multixact_members = travel ? get_multixact_members : nullptr;
}

}  // namespace strata::travel
