// What ended earlier lives of blocks: drops, truncations, and copies of whole databases, kept by this process for the
// relations that it has looked at.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "common/relpath.h"
#include "storage/block.h"
#include "storage/relfilelocator.h"
}

#include <cstdint>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "store/store.h"

namespace strata::travel {

// What a database's directory was from an LSN on.
struct DatabaseState {
  XLogRecPtr since = InvalidXLogRecPtr;  // created, copied or dropped at; nothing older belongs to it
  bool copied = false;
  Oid source_tablespace = InvalidOid;
  Oid source_database = InvalidOid;
};

// A truncation or a drop of a fork.
struct Reset {
  XLogRecPtr lsn = InvalidXLogRecPtr;
  BlockNumber surviving_blocks = 0;
};

class PastEvents {
 public:
  // Forgets what was read from another set of layers, or before history's end was set back.
  void validate(std::uint64_t layer_set_version, std::uint64_t epoch);

  [[nodiscard]] DatabaseState database_at(Reader& reader, Oid tablespace, Oid database, XLogRecPtr at);
  // The resets of a fork in (since, at], newest first.
  [[nodiscard]] std::vector<Reset> resets_at(Reader& reader, const RelFileLocator& locator, ForkNumber fork,
                                             XLogRecPtr at, XLogRecPtr since);

 private:
  template <class Event>
  struct Known {
    XLogRecPtr upto = InvalidXLogRecPtr;  // all events up to it are here
    std::vector<Event> newest_first;
  };
  using DatabaseId = std::pair<Oid, Oid>;
  using ForkId = std::tuple<Oid, Oid, RelFileNumber, int>;

  void forget();
  void make_room();

  std::uint64_t layer_set_version_ = 0;
  std::uint64_t epoch_ = 0;
  std::size_t events_ = 0;  // kept, relations without any counted as one
  std::map<DatabaseId, Known<DatabaseState>> databases_;
  std::map<ForkId, Known<Reset>> forks_;
};

// The u32 at `offset` of a value. Throws StoreError (kCorrupt) where the value is too short.
[[nodiscard]] std::uint32_t read_u32(const std::string& value, std::size_t offset);

}  // namespace strata::travel
