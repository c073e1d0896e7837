// Counts what one reading of history does, for pg_stat_strata and EXPLAIN (STRATA).
#pragma once

#include "pg/statistics.h"
#include "redo/redo.h"
#include "store/store.h"

extern "C" {
#include "portability/instr_time.h"
}

namespace strata::travel {

// From its construction to its end, an exception included. Not to be nested: the outer one would count twice.
// REQUIRES: `reader` is this process's own (pg::store_reader()).
class ReadMeter {
 public:
  ReadMeter(const Reader& reader, KeyKind kind)
      : reader_(reader), kind_(kind), read_before_(reader.counters()), redo_before_(redo::counters) {
    INSTR_TIME_SET_CURRENT(begin_);
  }
  ~ReadMeter() {
    instr_time time;
    INSTR_TIME_SET_CURRENT(time);
    INSTR_TIME_SUBTRACT(time, begin_);
    const ReadCounters& now = reader_.counters();
    pg::count_read(kind_, {.requests = 1,
                           .pages = redo::counters.pages - redo_before_.pages,
                           .redo_calls = redo::counters.redo_calls - redo_before_.redo_calls,
                           .lookups = now.lookups - read_before_.lookups,
                           .layers = now.layers - read_before_.layers,
                           .blocks = now.blocks - read_before_.blocks,
                           .bytes = now.bytes - read_before_.bytes,
                           .nanoseconds = static_cast<std::uint64_t>(INSTR_TIME_GET_NANOSEC(time))});
  }
  ReadMeter(const ReadMeter&) = delete;
  ReadMeter& operator=(const ReadMeter&) = delete;

 private:
  const Reader& reader_;
  KeyKind kind_;
  ReadCounters read_before_;
  redo::Counters redo_before_;
  instr_time begin_;
};

}  // namespace strata::travel
