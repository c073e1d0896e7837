#include "travel/standing.h"

extern "C" {
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/timestamp.h"
}

#include <initializer_list>

#include "pg/process_slots.h"
#include "pg/shared_memory.h"

namespace strata::travel {

namespace {

struct Place {
  pg_atomic_uint64 stands;
  pg_atomic_uint64 announced;
  pg_atomic_uint64 standing_since;  // a TimestampTz
  // Of retention alone: since when this place has been in its way, and as which LSN.
  XLogRecPtr in_the_way;
  TimestampTz since;
};

Place* places = nullptr;  // one for each PGPROC
bool has_announced = false;
bool exit_callback_registered = false;

// The next process in this one's place stands nowhere.
void leave_at_exit(int, Datum) { stand_on(InvalidXLogRecPtr); }

void prepare() {
  if (exit_callback_registered) return;
  before_shmem_exit(leave_at_exit, 0);
  exit_callback_registered = true;
}

}  // namespace

void register_standing_table() {
  const auto bytes = [] { return sizeof(Place) * static_cast<std::size_t>(pg::process_slots()); };
  const auto attach = [](void* memory, bool initialize) {
    places = static_cast<Place*>(memory);
    if (!initialize) return;
    for (int i = 0; i < pg::process_slots(); i++) {
      pg_atomic_init_u64(&places[i].stands, InvalidXLogRecPtr);
      pg_atomic_init_u64(&places[i].announced, InvalidXLogRecPtr);
      pg_atomic_init_u64(&places[i].standing_since, 0);
      places[i].in_the_way = InvalidXLogRecPtr;
      places[i].since = 0;
    }
  };
  pg::register_shared_memory({"strata standing", bytes, attach});
}

void announce_standing(XLogRecPtr lsn) {
  prepare();
  has_announced = true;
  pg_atomic_write_u64(&places[MyProcNumber].announced, lsn);
  pg_memory_barrier();
}

void stand_on(XLogRecPtr lsn) {
  prepare();
  if (lsn != InvalidXLogRecPtr) {
    pg_atomic_write_u64(&places[MyProcNumber].standing_since, static_cast<uint64>(GetCurrentTimestamp()));
  }
  pg_atomic_write_u64(&places[MyProcNumber].stands, lsn);
  pg_write_barrier();
  pg_atomic_write_u64(&places[MyProcNumber].announced, InvalidXLogRecPtr);
  has_announced = false;
}

void withdraw_announcement() {
  if (!has_announced) return;
  pg_atomic_write_u64(&places[MyProcNumber].announced, InvalidXLogRecPtr);
  has_announced = false;
}

Standing standing_of(int slot) {
  const XLogRecPtr lsn = pg_atomic_read_u64(&places[slot].stands);
  return Standing{lsn, static_cast<TimestampTz>(pg_atomic_read_u64(&places[slot].standing_since))};
}

XLogRecPtr oldest_standing(XLogRecPtr wanted, TimestampTz now, std::int64_t max_age) {
  pg_memory_barrier();
  XLogRecPtr oldest = InvalidXLogRecPtr;
  for (int i = 0; i < pg::process_slots(); i++) {
    Place& place = places[i];
    XLogRecPtr lowest = InvalidXLogRecPtr;
    // In this order: what is not announced any more is stood on already.
    for (pg_atomic_uint64* one : {&place.announced, &place.stands}) {
      const XLogRecPtr lsn = pg_atomic_read_u64(one);
      pg_read_barrier();
      if (lsn != InvalidXLogRecPtr && (lowest == InvalidXLogRecPtr || lsn < lowest)) lowest = lsn;
    }
    if (lowest == InvalidXLogRecPtr || lowest >= wanted) {
      place.in_the_way = InvalidXLogRecPtr;
      continue;
    }
    if (place.in_the_way != lowest) {
      place.in_the_way = lowest;
      place.since = now;
    }
    if (max_age >= 0 && now - place.since >= max_age) continue;
    if (oldest == InvalidXLogRecPtr || lowest < oldest) oldest = lowest;
  }
  return oldest;
}

}  // namespace strata::travel
