// Where the history of a page begins anew: truncations and drops of its fork, copies and drops of its database.
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

#include "store/store.h"

namespace strata {

// Remembers the database and the fork asked for last, so that keys in ascending order cost one reading each.
class Lifetimes {
 public:
  // Looks at events up to `end`. `reader` is borrowed.
  Lifetimes(Reader& reader, Lsn end) : reader_(reader), end_(end) {}

  // The LSN at or below which no version counts for a reader of `key` at `at`; kInvalidLsn when all do.
  [[nodiscard]] Lsn floor_at(const Key& key, Lsn at);

 private:
  struct Reset {
    Lsn lsn;
    std::uint32_t surviving_blocks;
  };

  void load(const Key& key);

  Reader& reader_;
  Lsn end_;
  std::optional<std::tuple<std::uint32_t, std::uint32_t>> database_;
  std::optional<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint8_t>> fork_;
  std::vector<Lsn> database_events_;  // newest first
  std::vector<Reset> resets_;         // newest first
};

}  // namespace strata
