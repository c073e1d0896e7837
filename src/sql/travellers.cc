// strata.travellers(): the processes that are in the past.
extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
}

#include "pg/max_processes.h"
#include "sql/prerequisites.h"
#include "travel/resolve.h"
#include "travel/lsn_lease.h"

namespace strata::sql {

extern "C" {

PG_FUNCTION_INFO_V1(strata_travellers);
Datum strata_travellers(PG_FUNCTION_ARGS) {
  const Horizon horizon = require_horizon();
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  for (int slot = 0; slot < pg::max_processes(); slot++) {
    const travel::Lease lease = travel::lease_of(slot);
    const PGPROC* process = GetPGProcByNumber(slot);
    const int pid = process->pid;
    if (lease.lsn == InvalidXLogRecPtr || pid == 0) continue;

    const char* role = GetUserNameFromId(process->roleId, true);
    const TimestampTz last_commit = lease.lsn >= horizon.lsn ? travel::last_commit_at(lease.lsn) : 0;
    Datum values[] = {Int32GetDatum(pid), role != nullptr ? CStringGetTextDatum(role) : Datum{0},
                      TimestampTzGetDatum(last_commit), LSNGetDatum(lease.lsn), TimestampTzGetDatum(lease.since)};
    bool nulls[] = {false, role == nullptr, last_commit == 0, false, false};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
  return Datum{0};
}

}  // extern "C"

}  // namespace strata::sql
