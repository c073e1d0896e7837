#include "sql/prerequisites.h"

extern "C" {
#include "access/xlog.h"
}

#include "pg/lsn_format.h"
#include "pg/shared_state.h"
#include "pg/wal_end.h"
#include "travel/session.h"

namespace strata::sql {

Horizon require_horizon() {
  require_enabled();
  SpinLockAcquire(&pg::shared_state->mutex);
  const Horizon horizon = pg::shared_state->horizon;
  SpinLockRelease(&pg::shared_state->mutex);
  if (horizon.lsn == kInvalidLsn) {
    ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("history has not begun yet"),
                    errhint("Wait for the baseline; strata.status() shows its progress.")));
  }
  return horizon;
}

void require_present(const char* action) {
  if (!travel::travelling()) return;
  ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
                  errmsg("cannot %s while travelling in time", action), travel::explain_travel()));
}

XLogRecPtr wal_end() { return GetXLogInsertEndRecPtr(); }

XLogRecPtr require_inserted(XLogRecPtr lsn) {
  if (const std::optional<XLogRecPtr> inserted = pg::inserted_lsn(lsn)) return *inserted;
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("LSN %X/%X is in the future", LSN_FORMAT_ARGS(lsn)),
                  errdetail("The write-ahead log ends at %X/%X.", LSN_FORMAT_ARGS(wal_end()))));
  pg_unreachable();
}

}  // namespace strata::sql
