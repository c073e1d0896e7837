// strata.before_xact(), strata.after_xact(): the moments just before and after the end of a transaction.
extern "C" {
#include "postgres.h"

#include "access/transam.h"
#include "access/xlog.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/pg_lsn.h"
#include "utils/xid8.h"
}

#include "pg/lsn_format.h"
#include "pg/shared_state.h"
#include "sql/prerequisites.h"
#include "travel/counters.h"
#include "travel/history.h"
#include "travel/resolve.h"
#include "travel/transactions.h"

namespace strata::sql {

namespace {

// The commit log's page may hold transactions of 2^32 before until the first of its own begins.
bool has_ended(FullTransactionId transaction, XLogRecPtr at) {
  if (!FullTransactionIdPrecedes(transaction, travel::next_xid_at(at))) return false;
  return travel::xid_status_at(XidFromFullTransactionId(transaction), at) != TRANSACTION_STATUS_IN_PROGRESS;
}

[[noreturn]] void raise_unknown(FullTransactionId transaction, const char* reason) {
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                  errmsg("transaction %llu %s", static_cast<unsigned long long>(U64FromFullTransactionId(transaction)),
                         reason)));
  pg_unreachable();
}

// Its commit log of now may have been removed.
bool is_too_old(FullTransactionId transaction, XLogRecPtr at) {
  const FullTransactionId next = travel::next_xid_at(at);
  const TransactionId oldest = travel::counters_at(at).oldest_xid;
  const uint64 distance = XidFromFullTransactionId(next) - oldest;
  return U64FromFullTransactionId(transaction) + distance < U64FromFullTransactionId(next);
}

// The end of the record by which the transaction ended.
XLogRecPtr end_of(FullTransactionId transaction) {
  const Horizon horizon = require_horizon();
  if (!TransactionIdIsNormal(XidFromFullTransactionId(transaction))) raise_unknown(transaction, "is no ordinary one");
  XLogRecPtr ended = travel::resolve_lsn(wal_end());
  if (is_too_old(transaction, ended))
    raise_unknown(transaction, "is too old: the commit log does not reach back to it");
  if (!has_ended(transaction, ended)) raise_unknown(transaction, "has not ended");
  XLogRecPtr not_ended = horizon.lsn;
  if (has_ended(transaction, not_ended)) raise_unknown(transaction, "ended before history begins");
  while (ended - not_ended > 1) {
    CHECK_FOR_INTERRUPTS();
    const XLogRecPtr middle = not_ended + (ended - not_ended) / 2;
    (has_ended(transaction, middle) ? ended : not_ended) = middle;
  }
  return ended;
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_before_xact);
Datum strata_before_xact(PG_FUNCTION_ARGS) { PG_RETURN_LSN(end_of(PG_GETARG_FULLTRANSACTIONID(0)) - 1); }

PG_FUNCTION_INFO_V1(strata_after_xact);
Datum strata_after_xact(PG_FUNCTION_ARGS) { PG_RETURN_LSN(end_of(PG_GETARG_FULLTRANSACTIONID(0))); }

}  // extern "C"

}  // namespace strata::sql
