#include "travel/transactions.h"

#include "pg/commit_log.h"
#include "pg/lsn_format.h"
#include "travel/history.h"

extern "C" {
#include "access/transam.h"
#include "utils/memutils.h"
}

namespace strata::travel {

namespace {

// Of 8 KB: as many as PostgreSQL has at most by default (transaction_buffers), for 33 million transactions.
constexpr int kCachedPages = 1024;

// Commit-log pages at one LSN, direct-mapped by page number.
struct CachedPage {
  XLogRecPtr lsn;
  uint32 pageno;
  char* bytes;
};
CachedPage cached_pages[kCachedPages];

const char* commit_log_page(uint32 pageno, XLogRecPtr at) {
  CachedPage& cached = cached_pages[pageno % kCachedPages];
  if (cached.bytes != nullptr && cached.lsn == at && cached.pageno == pageno) return cached.bytes;
  if (cached.bytes == nullptr) {
    cached.bytes = static_cast<char*>(MemoryContextAlloc(TopMemoryContext, BLCKSZ));
  }
  cached.lsn = InvalidXLogRecPtr;
  read_commit_log_page_at(pageno, at, cached.bytes);
  cached.lsn = at;
  cached.pageno = pageno;
  return cached.bytes;
}

struct StoredMember {
  uint32 xid;
  uint32 status;
};

}  // namespace

XidStatus xid_status_at(TransactionId xid, XLogRecPtr at) {
  return pg::status_on(commit_log_page(pg::commit_log_page_of(xid), at), xid);
}

bool xid_committed_at(TransactionId xid, XLogRecPtr at) {
  if (!TransactionIdIsNormal(xid)) return xid == BootstrapTransactionId || xid == FrozenTransactionId;
  return xid_status_at(xid, at) == TRANSACTION_STATUS_COMMITTED;
}

int multixact_members_at(MultiXactId multi, XLogRecPtr at, MultiXactMember** members) {
  char* bytes = nullptr;
  Size size = 0;
  if (!read_multixact_at(multi, at, &bytes, &size) || size % sizeof(StoredMember) != 0) {
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                    errmsg("MultiXactId %u is not known at LSN %X/%X", multi, LSN_FORMAT_ARGS(at))));
  }
  const int count = static_cast<int>(size / sizeof(StoredMember));
  const auto* stored = reinterpret_cast<const StoredMember*>(bytes);
  if (count == 0) return 0;
  *members = static_cast<MultiXactMember*>(palloc(sizeof(MultiXactMember) * static_cast<Size>(count)));
  for (int i = 0; i < count; i++) {
    (*members)[i].xid = stored[i].xid;
    (*members)[i].status = static_cast<MultiXactStatus>(stored[i].status);
  }
  pfree(bytes);
  return count;
}

TransactionId updater_at(MultiXactId multi, XLogRecPtr at) {
  MultiXactMember* members = nullptr;
  TransactionId updater = InvalidTransactionId;
  const int count = multixact_members_at(multi, at, &members);
  for (int i = 0; i < count; i++) {
    if (ISUPDATE_from_mxstatus(members[i].status)) updater = members[i].xid;
  }
  if (count > 0) pfree(members);
  return updater;
}

}  // namespace strata::travel
