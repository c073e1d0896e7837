// Pages of the commit log: two bits for each transaction.
#include "redo/redo.h"

extern "C" {
#include "access/clog.h"
#include "access/transam.h"
}

#include <cstring>

#include "pg/lsn_format.h"

namespace strata::redo {

namespace {

constexpr uint32 kBitsPerXid = 2;
constexpr uint32 kXidsPerByte = BITS_PER_BYTE / kBitsPerXid;
constexpr uint32 kXidsPerPage = BLCKSZ * kXidsPerByte;

void set_status(char* page, TransactionId xid, uint8 status) {
  const uint32 index = xid % kXidsPerPage;
  auto* byte = reinterpret_cast<uint8*>(page) + index / kXidsPerByte;
  const uint32 shift = index % kXidsPerByte * kBitsPerXid;
  const uint32 mask = (1U << kBitsPerXid) - 1;
  const uint32 current = *byte >> shift & mask;
  // A fuzzy base may know already how a subtransaction ended.
  if (status == TRANSACTION_STATUS_SUB_COMMITTED && current == TRANSACTION_STATUS_COMMITTED) return;
  *byte = static_cast<uint8>((*byte & ~(mask << shift)) | (static_cast<uint32>(status) << shift));
}

bool set_statuses(const Key& key, std::string_view value, char* page) {
  if (value.empty() || (value.size() - 1) % sizeof(TransactionId) != 0) return false;
  const auto status = static_cast<uint8>(value[0]);
  for (std::size_t at = 1; at < value.size(); at += sizeof(TransactionId)) {
    TransactionId xid = InvalidTransactionId;
    std::memcpy(&xid, value.data() + at, sizeof(xid));
    if (xid / kXidsPerPage != key.block) return false;
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
