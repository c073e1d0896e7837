#include "travellers/ends.h"

extern "C" {
#include "access/clog.h"
#include "miscadmin.h"
#include "utils/memutils.h"
}

#include "travel/history.h"

namespace strata::travellers {

namespace {

struct Found {
  Ended* ended;
  int count;
  int room;
};

void note(uint8 status, const TransactionId* xids, int, XLogRecPtr lsn, void* context) {
  if (status != TRANSACTION_STATUS_COMMITTED && status != TRANSACTION_STATUS_ABORTED) return;
  auto* found = static_cast<Found*>(context);
  if (found->count == found->room) {
    found->room *= 2;
    found->ended = static_cast<Ended*>(repalloc_huge(found->ended, sizeof(Ended) * static_cast<Size>(found->room)));
  }
  found->ended[found->count++] = Ended{lsn, xids[0], status == TRANSACTION_STATUS_COMMITTED};
}

// Of one record on several pages, the one with the top-level transaction comes first: a parent has its xid before its
// children get theirs.
int in_order(const void* a, const void* b) {
  const auto* left = static_cast<const Ended*>(a);
  const auto* right = static_cast<const Ended*>(b);
  if (left->lsn != right->lsn) return left->lsn < right->lsn ? -1 : 1;
  if (left->xid == right->xid) return 0;
  return TransactionIdPrecedes(left->xid, right->xid) ? -1 : 1;
}

}  // namespace

int transactions_ended(XLogRecPtr from, XLogRecPtr to, Ended** ended) {
  Found found = {};
  found.room = 64;
  found.ended = static_cast<Ended*>(palloc(sizeof(Ended) * static_cast<Size>(found.room)));
  uint32 page = 0;
  while (travel::next_changed_commit_log_page(page, PG_UINT32_MAX, from, to, &page)) {
    CHECK_FOR_INTERRUPTS();
    travel::visit_transaction_ends(page, from, to, note, &found);
    page++;
  }
  qsort(found.ended, static_cast<Size>(found.count), sizeof(Ended), in_order);
  int count = 0;
  for (int i = 0; i < found.count; i++) {
    if (count > 0 && found.ended[count - 1].lsn == found.ended[i].lsn) continue;
    found.ended[count++] = found.ended[i];
  }
  *ended = found.ended;
  return count;
}

}  // namespace strata::travellers
