// Which locks protect data that cannot change: of the past, or of a server that stands still.
#pragma once

extern "C" {
#include "postgres.h"

#include "storage/lock.h"
}

namespace strata::travel {

// On what a command changes as a whole. Recovery refuses strong modes for these, too.
inline bool is_object_lock(const LOCKTAG* tag) {
  return tag->locktag_type == LOCKTAG_RELATION || tag->locktag_type == LOCKTAG_OBJECT;
}

// On relations, pages, tuples and objects; not on what a session does in the present, such as advisory locks.
inline bool is_data_lock(const LOCKTAG* tag) {
  switch (static_cast<LockTagType>(tag->locktag_type)) {
    case LOCKTAG_RELATION:
    case LOCKTAG_RELATION_EXTEND:
    case LOCKTAG_PAGE:
    case LOCKTAG_TUPLE:
    case LOCKTAG_OBJECT:
      return true;
    default:
      return false;
  }
}

}  // namespace strata::travel
