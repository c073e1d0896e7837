// Pages of the commit log: two bits for each transaction.
#include "redo/redo.h"

extern "C" {
#include "access/clog.h"
#include "access/transam.h"
}

#include <cstring>

#include "pg/commit_log.h"
#include "pg/lsn_format.h"

namespace strata::redo {

namespace {

void set_status(char* page, TransactionId xid, uint8 status) {
  // A fuzzy base may know already how a subtransaction ended.
  if (status == TRANSACTION_STATUS_SUB_COMMITTED && pg::status_on(page, xid) == TRANSACTION_STATUS_COMMITTED) return;
  pg::set_status_on(page, xid, status);
}

bool set_statuses(const Key& key, std::string_view value, char* page) {
  if (value.empty() || (value.size() - 1) % sizeof(TransactionId) != 0) return false;
  const auto status = static_cast<uint8>(value[0]);
  for (std::size_t at = 1; at < value.size(); at += sizeof(TransactionId)) {
    TransactionId xid = InvalidTransactionId;
    std::memcpy(&xid, value.data() + at, sizeof(xid));
    if (pg::commit_log_page_of(xid) != key.block) return false;
    set_status(page, xid, status);
  }
  return true;
}

bool apply(const Key& key, const Version& version, char* page) {
  switch (version.type) {
    case EntryType::kValue:
    case EntryType::kImage:
      if (version.value.size() != BLCKSZ) return false;
      std::memcpy(page, version.value.data(), BLCKSZ);
      return true;
    case EntryType::kXidStatus:
      return set_statuses(key, version.value, page);
    default:
      return false;
  }
}

}  // namespace

void apply_to_commit_log_page(const Key& key, const Version& version, char* page) {
  if (!apply(key, version, page)) {
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("history of commit log page %u is damaged at %X/%X",
                                                            key.block, LSN_FORMAT_ARGS(version.lsn))));
  }
}

void rebuild_commit_log_page(const Key& key, const Chain& chain, char* page) {
  std::memset(page, 0, BLCKSZ);
  for (const Version& version : chain) apply_to_commit_log_page(key, version, page);
  ++counters.pages;
}

}  // namespace strata::redo
