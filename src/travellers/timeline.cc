// strata.transactions(), strata.find_when(): what happened when.
extern "C" {
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/xid8.h"
#include "varatt.h"
}

#include "travel/commit_times.h"
#include "travel/history.h"
#include "travel/resolve.h"
#include "travellers/call.h"
#include "travellers/ends.h"
#include "travellers/window.h"

namespace strata::travellers {

namespace {

// A time of 0 is one that history does not hold.
void put_time(TimestampTz time, Datum* value, bool* null) {
  *value = TimestampTzGetDatum(time);
  *null = time == 0;
}

// The rows of a query at a moment, as one jsonb; null where there are none. In the current memory context.
Jsonb* rows_at(const char* query, XLogRecPtr lsn) {
  const char* text = psprintf("SELECT pg_catalog.jsonb_agg(pg_catalog.to_jsonb(q)) FROM (%s\n) AS q", query);
  TupleDesc expected = CreateTemplateTupleDesc(1);
  TupleDescInitEntry(expected, 1, "rows", JSONBOID, -1, 0);
  Call* call = begin_query_call(lsn, text, 0, nullptr, nullptr, nullptr, expected);
  Datum value = 0;
  bool null = true;
  Jsonb* rows = nullptr;
  if (next_row(call, &value, &null) && !null) rows = DatumGetJsonbPCopy(value);
  end_call(call);
  return rows;
}

bool same_rows(const Jsonb* a, const Jsonb* b) {
  if (a == nullptr || b == nullptr) return a == b;
  return VARSIZE(a) == VARSIZE(b) && memcmp(a, b, VARSIZE(a)) == 0;
}

bool any_ended(XLogRecPtr from, XLogRecPtr to) {
  uint32 page = 0;
  return travel::next_changed_commit_log_page(0, PG_UINT32_MAX, from, to, &page);
}

void put_rows(Jsonb* rows, Datum* value, bool* null) {
  *null = rows == nullptr;
  if (rows != nullptr) *value = JsonbPGetDatum(rows);
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_transactions);
Datum strata_transactions(PG_FUNCTION_ARGS) {
  enum { kLsn, kTime, kXid, kCommitted, kColumns };
  const Window window = window_of(fcinfo, 0);
  InitMaterializedSRF(fcinfo, 0);
  const auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  Ended* ended = nullptr;
  const int count = transactions_ended(window.from, window.to, &ended);
  const FullTransactionId next = travel::next_xid_at(window.to);
  travel::CommitTimes* times = travel::open_commit_times();
  for (int i = 0; i < count; i++) {
    CHECK_FOR_INTERRUPTS();
    Datum values[kColumns] = {};
    bool nulls[kColumns] = {};
    values[kLsn] = LSNGetDatum(ended[i].lsn);
    put_time(travel::commit_time(times, ended[i].lsn), &values[kTime], &nulls[kTime]);
    values[kXid] = FullTransactionIdGetDatum(FullTransactionIdFromAllowableAt(next, ended[i].xid));
    values[kCommitted] = BoolGetDatum(ended[i].committed);
    tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
  }
  return 0;
}

PG_FUNCTION_INFO_V1(strata_find_when);
Datum strata_find_when(PG_FUNCTION_ARGS) {
  enum { kLsnBefore, kLsn, kTime, kXid, kBefore, kAfter, kColumns };
  if (PG_ARGISNULL(0)) {
    ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the query must not be null")));
  }
  const char* query = text_to_cstring(PG_GETARG_TEXT_PP(0));
  const Window window = window_of(fcinfo, 1);
  InitMaterializedSRF(fcinfo, 0);
  const auto* info = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);

  // At `same` the rows are `before`, at `other` they are not.
  XLogRecPtr same = window.from;
  XLogRecPtr other = window.to;
  Jsonb* before = rows_at(query, same);
  Jsonb* after = rows_at(query, other);
  if (same_rows(before, after)) return 0;
  while (other - same > 1) {
    CHECK_FOR_INTERRUPTS();
    const XLogRecPtr middle = same + (other - same) / 2;
    // What is seen changes with the end of a transaction.
    if (!any_ended(same, middle)) {
      same = middle;
      continue;
    }
    Jsonb* rows = rows_at(query, middle);
    if (same_rows(rows, before)) {
      same = middle;
      if (rows != nullptr) pfree(rows);
    } else {
      other = middle;
      after = rows;
    }
  }

  Datum values[kColumns] = {};
  bool nulls[kColumns] = {};
  values[kLsnBefore] = LSNGetDatum(same);
  values[kLsn] = LSNGetDatum(other);
  put_time(travel::last_commit_at(other), &values[kTime], &nulls[kTime]);
  Ended* ended = nullptr;
  nulls[kXid] = transactions_ended(same, other, &ended) == 0;
  if (!nulls[kXid])
    values[kXid] =
        FullTransactionIdGetDatum(FullTransactionIdFromAllowableAt(travel::next_xid_at(other), ended[0].xid));
  put_rows(before, &values[kBefore], &nulls[kBefore]);
  put_rows(after, &values[kAfter], &nulls[kAfter]);
  tuplestore_putvalues(info->setResult, info->setDesc, values, nulls);
  return 0;
}

}  // extern "C"

}  // namespace strata::travellers
