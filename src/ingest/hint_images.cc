#include "ingest/hint_images.h"

extern "C" {
#include "access/nbtree.h"
#include "storage/bufpage.h"
}

namespace strata::ingest {

std::optional<RmgrId> manager_of_hints(const char* page) {
  if (PageIsNew(page)) return std::nullopt;
  const auto special = PageGetSpecialSize(page);
  if (special == 0) return RM_HEAP_ID;
  // GiST and hash pages have as much special space; their last two bytes say that they are no btree's.
  if (special == MAXALIGN(sizeof(BTPageOpaqueData)) && BTPageGetOpaque(page)->btpo_cycleid <= MAX_BT_CYCLE_ID) {
    return RM_BTREE_ID;
  }
  return std::nullopt;
}

}  // namespace strata::ingest
