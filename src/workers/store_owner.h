// Which server writes a store: a lock on the file OWNER in its folder, which every process holds that writes there.
#pragma once

#include <stdexcept>

namespace strata::workers {

// Another server has the store.
class StoreIsTaken : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// What the folder's past allows.
struct Ownership {
  bool is_copy = false;   // the folder was copied since a server had it: files may be missing or torn
  bool is_other = false;  // the server of another data directory wrote here last, in this very folder
};

// For ingest, before anything is read or written: makes the store this server's, or finds that it still is. The folder
// is made where there is none. Throws StoreIsTaken, StoreError or pg::PgError.
Ownership own_store();

// For ingest: what is in the store is this server's history; the other workers may write it from now on. REQUIRES:
// own_store(). Throws StoreIsTaken, StoreError.
void settle_ownership();

// For ingest: it is not. Another server may have the store, if this one has not settled.
void leave_store();

// For other workers, before they write: whether the store is this server's. If so, no other server gets it before this
// process ends.
[[nodiscard]] bool share_store();

}  // namespace strata::workers
