// Ends of transactions: statuses, dropped relations, and the times that travel goes by.
#include "ingest/wal_decoder.h"

extern "C" {
#include "access/clog.h"
#include "access/xact.h"
}

#include <algorithm>

#include "ingest/keys.h"
#include "pg/commit_log.h"
#include "store/time_marks.h"

namespace strata::ingest {
void WalDecoder::decode_transaction() {
  const std::uint8_t operation = XLogRecGetInfo(record_) & XLOG_XACT_OPMASK;
  TransactionId xid = XLogRecGetXid(record_);
  switch (operation) {
    case XLOG_XACT_COMMIT:
    case XLOG_XACT_COMMIT_PREPARED: {
      xl_xact_parsed_commit commit;
      ParseCommitRecord(XLogRecGetInfo(record_), reinterpret_cast<xl_xact_commit*>(XLogRecGetData(record_)), &commit);
      if (operation == XLOG_XACT_COMMIT_PREPARED) xid = commit.twophase_xid;
      set_statuses(TRANSACTION_STATUS_COMMITTED, xid, {commit.subxacts, static_cast<std::size_t>(commit.nsubxacts)});
      for (int i = 0; i < commit.nrels; ++i) drop(commit.xlocators[i]);
      mark_time(commit.xact_time);
      return;
    }
    case XLOG_XACT_ABORT:
    case XLOG_XACT_ABORT_PREPARED: {
      xl_xact_parsed_abort abort;
      ParseAbortRecord(XLogRecGetInfo(record_), reinterpret_cast<xl_xact_abort*>(XLogRecGetData(record_)), &abort);
      if (operation == XLOG_XACT_ABORT_PREPARED) xid = abort.twophase_xid;
      set_statuses(TRANSACTION_STATUS_ABORTED, xid, {abort.subxacts, static_cast<std::size_t>(abort.nsubxacts)});
      for (int i = 0; i < abort.nrels; ++i) drop(abort.xlocators[i]);
      mark_time(abort.xact_time);
      return;
    }
    case XLOG_XACT_PREPARE:
    case XLOG_XACT_ASSIGNMENT:
    case XLOG_XACT_INVALIDATIONS:
      // A prepared transaction is not committed yet: the commit log says so by saying nothing.
      return;
    default:
      throw_unknown_record();
  }
}

void WalDecoder::set_statuses(std::uint8_t status, TransactionId xid, std::span<const TransactionId> children) {
  if (!TransactionIdIsValid(xid)) return;
  std::vector<TransactionId> xids(children.begin(), children.end());
  xids.push_back(xid);
  for (const TransactionId member : xids) advance_next_xid(member);
  std::sort(xids.begin(), xids.end());

  for (auto first = xids.begin(); first != xids.end();) {
    const std::uint32_t page = pg::commit_log_page_of(*first);
    const auto last =
        std::find_if(first, xids.end(), [&](TransactionId x) { return pg::commit_log_page_of(x) != page; });
    const auto bytes = static_cast<std::size_t>(last - first) * sizeof(TransactionId);
    const std::span<std::byte> value = batch_.allocate(1 + bytes);
    value[0] = static_cast<std::byte>(status);
    std::memcpy(value.data() + 1, &*first, bytes);
    batch_.add(commit_log_key(page), EntryType::kXidStatus, false, value);
    first = last;
  }
}

void WalDecoder::mark_time(TimestampTz time) {
  if (has_time_mark_ && time <= newest_time_) return;
  has_time_mark_ = true;
  newest_time_ = time;
  batch_.add_u64(time_mark_key(time), record_->ReadRecPtr);
}

}  // namespace strata::ingest
