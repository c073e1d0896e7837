#include "travel/lsn_lease.h"

extern "C" {
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/timestamp.h"
}

#include <initializer_list>

#include "pg/max_processes.h"
#include "pg/shared_memory.h"

namespace strata::travel {

namespace {

struct Place {
  pg_atomic_uint64 leased;
  pg_atomic_uint64 announced;
  pg_atomic_uint64 leased_since;  // a TimestampTz
  // Of retention alone: since when this place has been in its way, and as which LSN.
  XLogRecPtr in_the_way;
  TimestampTz since;
};

Place* places = nullptr;  // one for each PGPROC
bool has_announced = false;
bool exit_callback_registered = false;

// The next process in this one's place leases nothing.
void leave_at_exit(int, Datum) { take_lease(InvalidXLogRecPtr); }

void prepare() {
  if (exit_callback_registered) return;
  before_shmem_exit(leave_at_exit, 0);
  exit_callback_registered = true;
}

}  // namespace

void register_lsn_leases() {
  const auto bytes = [] { return sizeof(Place) * static_cast<std::size_t>(pg::max_processes()); };
  const auto attach = [](void* memory, bool initialize) {
    places = static_cast<Place*>(memory);
    if (!initialize) return;
    for (int i = 0; i < pg::max_processes(); i++) {
      pg_atomic_init_u64(&places[i].leased, InvalidXLogRecPtr);
      pg_atomic_init_u64(&places[i].announced, InvalidXLogRecPtr);
      pg_atomic_init_u64(&places[i].leased_since, 0);
      places[i].in_the_way = InvalidXLogRecPtr;
      places[i].since = 0;
    }
  };
  pg::register_shared_memory({"strata LSN leases", bytes, attach});
}

void announce_lease(XLogRecPtr lsn) {
  prepare();
  has_announced = true;
  pg_atomic_write_u64(&places[MyProcNumber].announced, lsn);
  pg_memory_barrier();
}

void take_lease(XLogRecPtr lsn) {
  prepare();
  if (lsn != InvalidXLogRecPtr) {
    pg_atomic_write_u64(&places[MyProcNumber].leased_since, static_cast<uint64>(GetCurrentTimestamp()));
  }
  pg_atomic_write_u64(&places[MyProcNumber].leased, lsn);
  pg_write_barrier();
  pg_atomic_write_u64(&places[MyProcNumber].announced, InvalidXLogRecPtr);
  has_announced = false;
}

void withdraw_announcement() {
  if (!has_announced) return;
  pg_atomic_write_u64(&places[MyProcNumber].announced, InvalidXLogRecPtr);
  has_announced = false;
}

Lease lease_of(int slot) {
  const XLogRecPtr lsn = pg_atomic_read_u64(&places[slot].leased);
  return Lease{lsn, static_cast<TimestampTz>(pg_atomic_read_u64(&places[slot].leased_since))};
}

XLogRecPtr oldest_lease(XLogRecPtr wanted, TimestampTz now, std::int64_t max_age) {
  pg_memory_barrier();
  XLogRecPtr oldest = InvalidXLogRecPtr;
  for (int i = 0; i < pg::max_processes(); i++) {
    Place& place = places[i];
    XLogRecPtr lowest = InvalidXLogRecPtr;
    // In this order: what is not announced any more is leased already.
    for (pg_atomic_uint64* one : {&place.announced, &place.leased}) {
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
