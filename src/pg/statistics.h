// What pg_stat_strata shows: how history is read and written, in PostgreSQL's cumulative statistics.
//
// They survive a restart but not a crash, as PostgreSQL's own do. They are kept in a file of their own all the same: a
// server that starts with strata_enabled off would find an unknown kind in PostgreSQL's file, and drop all of it.
#pragma once

extern "C" {
#include "postgres.h"

#include "datatype/timestamp.h"
}

#include <cstddef>
#include <cstdint>

#include "store/key.h"

namespace strata::pg {

// Reading, by what was asked for.
struct ReadStatistics {
  std::uint64_t requests = 0;
  std::uint64_t pages = 0;       // rebuilt
  std::uint64_t redo_calls = 0;  // of a resource manager's redo routine
  std::uint64_t lookups = 0;     // searches in the index of a layer
  std::uint64_t layers = 0;      // looked into; of interest for a process only, see Reader::mark_layers()
  std::uint64_t blocks = 0;      // read from files
  std::uint64_t bytes = 0;       // of them
  std::uint64_t nanoseconds = 0;

  ReadStatistics& operator+=(const ReadStatistics& other);
  friend ReadStatistics operator-(const ReadStatistics& a, const ReadStatistics& b);
};

struct WriteStatistics {
  std::uint64_t wal_bytes = 0;  // ingested
  std::uint64_t flushes = 0;
  std::uint64_t flush_bytes = 0;
  std::uint64_t merges = 0;
  std::uint64_t merge_bytes = 0;
};

// Indexed by KeyKind.
inline constexpr std::size_t kReadKinds = static_cast<std::size_t>(KeyKind::kTablespace) + 1;

struct Statistics {
  ReadStatistics reads[kReadKinds];
  WriteStatistics writes;
  TimestampTz since = 0;  // when they were reset
};

void register_statistics();  // from _PG_init

// Adds to this process's, which go to the shared ones when PostgreSQL's do. No ERROR.
void count_read(KeyKind kind, const ReadStatistics& read);
// Adds to the shared ones at once.
void count_write(const WriteStatistics& write);
// A copy of the shared ones, under stats_fetch_consistency.
[[nodiscard]] Statistics statistics();
void reset_statistics();

// All reading of this process and of the parallel workers that have worked for it, ever rising.
[[nodiscard]] ReadStatistics reads_of_process();
// A parallel worker tells its leader what it has read since it last did.
void hand_reads_to_leader();

}  // namespace strata::pg
