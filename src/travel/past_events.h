// What ended earlier incarnations of blocks: drops, truncations, and copies of whole databases, kept by this process
// for the relations that it has looked at.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "common/relpath.h"
#include "storage/relfilelocator.h"
}

#include <cstdint>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "store/incarnations.h"
#include "store/store.h"

namespace strata::travel {

class PastEvents {
 public:
  // Forgets what was read from another layer map, or before history's end was set back.
  void validate(std::uint64_t layer_map_version, std::uint64_t epoch);

  [[nodiscard]] DatabaseEvent database_at(Reader& reader, Oid tablespace, Oid database, XLogRecPtr at);
  // The truncations of a fork in (since, at], newest first.
  [[nodiscard]] std::vector<Truncation> truncations_at(Reader& reader, const RelFileLocator& locator, ForkNumber fork,
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
  // What is known of `id` up to `at` at least, newest first; read(upto) reads it.
  template <class Id, class Event, class Read>
  const std::vector<Event>& events_of(std::map<Id, Known<Event>>& all, const Id& id, XLogRecPtr at, Read&& read);

  std::uint64_t layer_map_version_ = 0;
  std::uint64_t epoch_ = 0;
  std::size_t events_ = 0;  // kept, relations without any counted as one
  std::map<DatabaseId, Known<DatabaseEvent>> databases_;
  std::map<ForkId, Known<Truncation>> forks_;
};

}  // namespace strata::travel
