// strata.next_xid(), strata.commit_log_digest(), strata.multixact_digest(), strata.multixact_range(): what the cluster
// knows of its transactions, in a form that two servers can compare.
//
// They ask as visibility checks ask, so in a travelling session they show what queries of the past are told. They need
// no history and work where strata is off, too.
extern "C" {
#include "postgres.h"

#include "access/multixact.h"
#include "access/transam.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/xid8.h"
}

#include "sql/digest_text.h"
#include "sql/prerequisites.h"
#include "sql/row.h"
#include "travel/history.h"
#include "travel/session.h"

namespace strata::sql {

namespace {

uint64 fold(uint64 digest, uint32 value) {
  return hash_bytes_extended(reinterpret_cast<unsigned char*>(&value), sizeof(value), digest);
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_next_xid);
Datum strata_next_xid(PG_FUNCTION_ARGS) {
  const FullTransactionId next =
      travel::travelling() ? travel::next_xid_at(travel::current_moment().lsn) : ReadNextFullTransactionId();
  PG_RETURN_FULLTRANSACTIONID(next);
}

PG_FUNCTION_INFO_V1(strata_commit_log_digest);
Datum strata_commit_log_digest(PG_FUNCTION_ARGS) {
  const uint64 first = U64FromFullTransactionId(PG_GETARG_FULLTRANSACTIONID(0));
  const uint64 end = U64FromFullTransactionId(PG_GETARG_FULLTRANSACTIONID(1));
  int64 committed = 0;
  int64 aborted = 0;
  uint64 digest = 0;
  for (uint64 full = first; full < end; ++full) {
    if (full % 1024 == 0) CHECK_FOR_INTERRUPTS();
    const auto xid = static_cast<TransactionId>(full);
    if (!TransactionIdIsNormal(xid)) continue;
    const bool did_commit = TransactionIdDidCommit(xid);
    const bool did_abort = !did_commit && TransactionIdDidAbort(xid);
    committed += did_commit ? 1 : 0;
    aborted += did_abort ? 1 : 0;
    digest = fold(fold(digest, xid), (did_commit ? 1 : 0) | (did_abort ? 2 : 0));
  }
  Datum values[3] = {Int64GetDatum(committed), Int64GetDatum(aborted), digest_text(digest)};
  PG_RETURN_DATUM(row(fcinfo, values));
}

PG_FUNCTION_INFO_V1(strata_multixact_range);
Datum strata_multixact_range(PG_FUNCTION_ARGS) {
  require_present("tell the range of multixacts");
  MultiXactId oldest = InvalidMultiXactId;
  MultiXactId next = InvalidMultiXactId;
  ReadMultiXactIdRange(&oldest, &next);
  Datum values[2] = {TransactionIdGetDatum(oldest), TransactionIdGetDatum(next)};
  PG_RETURN_DATUM(row(fcinfo, values));
}

PG_FUNCTION_INFO_V1(strata_multixact_digest);
Datum strata_multixact_digest(PG_FUNCTION_ARGS) {
  const MultiXactId first = PG_GETARG_TRANSACTIONID(0);
  const MultiXactId end = PG_GETARG_TRANSACTIONID(1);
  int64 multixacts = 0;
  int64 total_members = 0;
  uint64 digest = 0;
  for (MultiXactId multi = first; multi != end; ++multi) {
    CHECK_FOR_INTERRUPTS();
    if (!MultiXactIdIsValid(multi)) continue;
    MultiXactMember* members = nullptr;
    const int count = GetMultiXactIdMembers(multi, &members, false, false);
    ++multixacts;
    digest = fold(fold(digest, multi), static_cast<uint32>(count));
    for (int i = 0; i < count; ++i) {
      ++total_members;
      digest = fold(fold(digest, members[i].xid), static_cast<uint32>(members[i].status));
    }
    if (count > 0) pfree(members);
  }
  Datum values[3] = {Int64GetDatum(multixacts), Int64GetDatum(total_members), digest_text(digest)};
  PG_RETURN_DATUM(row(fcinfo, values));
}

}  // extern "C"

}  // namespace strata::sql
