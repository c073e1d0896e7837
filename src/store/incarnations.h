// Incarnations of a page: its history begins anew with truncations and drops of its fork, copies and drops of its
// database.
#pragma once

#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

#include "store/store.h"

namespace strata {

// At this depth of databases copied from databases a store is taken for broken.
inline constexpr int kMaxCopies = 64;
// Throws kCorrupt.
[[noreturn]] void throw_too_many_copies();

// What happened to a database's directory as a whole: created, copied or dropped. Nothing older belongs to it.
struct DatabaseEvent {
  Lsn lsn = kInvalidLsn;  // kInvalidLsn: nothing has happened
  bool copied = false;    // from the source
  std::uint32_t source_tablespace = 0;
  std::uint32_t source_database = 0;
};

// A truncation or a drop of a fork.
struct Truncation {
  Lsn lsn = kInvalidLsn;
  std::uint32_t surviving_blocks = 0;
};

// All that happened up to `end`, newest first: to the database of `key`, to the fork of `key`.
[[nodiscard]] std::vector<DatabaseEvent> read_database_events(Reader& reader, const Key& key, Lsn end);
[[nodiscard]] std::vector<Truncation> read_truncations(Reader& reader, const Key& key, Lsn end);

// Remembers the database and the fork asked for last, so that keys in ascending order cost one reading each.
class Incarnations {
 public:
  // Looks at events up to `end`. `reader` is borrowed.
  Incarnations(Reader& reader, Lsn end) : reader_(reader), end_(end) {}

  // The LSN at or below which no version counts for a reader of `key` at `at`; kInvalidLsn when all do.
  [[nodiscard]] Lsn floor_at(const Key& key, Lsn at);

  // What last happened to the database's directory.
  // REQUIRES: `key` has a database.
  [[nodiscard]] DatabaseEvent database_event_at(const Key& key, Lsn at);

 private:
  void load_database(const Key& key);
  void load(const Key& key);

  Reader& reader_;
  Lsn end_;
  std::optional<std::tuple<std::uint32_t, std::uint32_t>> database_;
  std::optional<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t, std::uint8_t>> fork_;
  std::vector<DatabaseEvent> database_events_;  // newest first
  std::vector<Truncation> truncations_;         // newest first
};

}  // namespace strata
