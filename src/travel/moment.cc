#include "travel/moment.h"

extern "C" {
#include "common/relpath.h"
#include "miscadmin.h"
#include "storage/proc.h"
}

#include <sys/stat.h>

#include <cstdio>
#include <new>

#include "pg/locks.h"
#include "pg/max_processes.h"
#include "pg/shared_memory.h"

namespace strata::travel {

namespace {

// Pairs in use or remembered at once. A session uses one for each tablespace that it touches, of its database and of
// the shared catalogs.
constexpr int kPairs = 8192;
constexpr Oid kVirtualTablespaces = 0x10000000;
// Pairs that one process may hold: tablespaces that it touched at its one moment.
constexpr int kHeldPairs = 256;

struct Pair {
  XLogRecPtr lsn;
  Oid tablespace;
  Oid database;
  Oid virtual_tablespace;  // InvalidOid: free
  uint32 holders;
};

// Under Lock::kMoments, which is held for a scan of the table.
struct MomentTable {
  Oid next;    // counts numbers given out; it wraps
  int used;    // pairs[0 .. used - 1] have been used
  int victim;  // where to look next for a pair that nobody holds
  Pair pairs[kPairs];
};

struct Held {
  XLogRecPtr lsn;
  Oid tablespace;
  Oid database;
  Oid virtual_tablespace;
  int index;
};

MomentTable* table = nullptr;
Moment* moments = nullptr;  // one for each PGPROC
Held held[kHeldPairs];
int held_count = 0;

// A number that no pair has, so that no page is found under it that belongs to another moment; nor a tablespace.
// REQUIRES: the lock is held.
Oid unused_number() {
  for (;;) {
    const Oid number = kFirstVirtualTablespace + table->next++ % kVirtualTablespaces;
    bool used = tablespace_exists(number);
    for (int i = 0; i < table->used && !used; i++) used = table->pairs[i].virtual_tablespace == number;
    if (!used) return number;
  }
}

// REQUIRES: the lock is held.
int find_or_claim(XLogRecPtr lsn, Oid tablespace, Oid database) {
  for (int i = 0; i < table->used; i++) {
    const Pair& pair = table->pairs[i];
    if (pair.lsn == lsn && pair.tablespace == tablespace && pair.database == database &&
        pair.virtual_tablespace != InvalidOid) {
      return i;
    }
  }
  int index = -1;
  if (table->used < kPairs) {
    index = table->used++;
  } else {
    for (int i = 0; i < kPairs && index < 0; i++) {
      const int candidate = (table->victim + i) % kPairs;
      if (table->pairs[candidate].holders == 0) index = candidate;
    }
    if (index < 0) return -1;
    table->victim = (index + 1) % kPairs;
  }
  // The number of the pair that makes room is free again, but not the next one.
  table->pairs[index] = Pair{lsn, tablespace, database, unused_number(), 0};
  return index;
}

}  // namespace

bool tablespace_exists(Oid tablespace) {
  // Relative to the data directory. A link counts whether or not it leads anywhere.
  char path[64];
  std::snprintf(path, sizeof(path), "%s/%u", PG_TBLSPC_DIR, tablespace);
  struct stat status;
  const int saved = errno;
  const bool exists = lstat(path, &status) == 0;
  errno = saved;
  return exists;
}

void raise_tablespace_in_virtual_range(Oid tablespace) {
  ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
                  errmsg("cannot travel to what lies in the tablespace with OID %u", tablespace),
                  errdetail("OIDs of tablespaces from %u on stand for moments of history.", kFirstVirtualTablespace),
                  errhint("The present is not affected. Move its relations to another tablespace, so that history "
                          "from then on can be read.")));
  pg_unreachable();
}

void register_moment_table() {
  const auto bytes = [] {
    return MAXALIGN(sizeof(MomentTable)) + sizeof(Moment) * static_cast<std::size_t>(pg::max_processes());
  };
  const auto attach = [](void* memory, bool initialize) {
    table = static_cast<MomentTable*>(memory);
    moments = reinterpret_cast<Moment*>(static_cast<char*>(memory) + MAXALIGN(sizeof(MomentTable)));
    if (!initialize) return;
    new (table) MomentTable{};
    for (int i = 0; i < pg::max_processes(); i++) new (&moments[i]) Moment{};
  };
  pg::register_shared_memory({"strata moments", bytes, attach});
}

Oid acquire_virtual_tablespace(XLogRecPtr lsn, Oid tablespace, Oid database) {
  for (int i = 0; i < held_count; i++) {
    if (held[i].tablespace == tablespace && held[i].database == database && held[i].lsn == lsn) {
      return held[i].virtual_tablespace;
    }
  }
  if (in_virtual_range(tablespace)) raise_tablespace_in_virtual_range(tablespace);
  int index = -1;
  Oid number = InvalidOid;
  if (held_count < kHeldPairs) {
    const pg::LockHolder holder(pg::Lock::kMoments);
    index = find_or_claim(lsn, tablespace, database);
    if (index >= 0) {
      table->pairs[index].holders++;
      number = table->pairs[index].virtual_tablespace;
    }
  }
  if (index < 0) {
    ereport(ERROR,
            (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED), errmsg("too many moments are being travelled to at once"),
             errdetail("The server tells apart %d pairs of a moment and a tablespace, a session %d tablespaces.",
                       kPairs, kHeldPairs),
             errhint("Let sessions travel to the same moments, or end some of them.")));
  }
  held[held_count++] = Held{lsn, tablespace, database, number, index};
  return number;
}

void release_virtual_tablespaces() {
  if (held_count == 0) return;
  const pg::LockHolder holder(pg::Lock::kMoments);
  for (int i = 0; i < held_count; i++) {
    Assert(table->pairs[held[i].index].holders > 0);
    table->pairs[held[i].index].holders--;
  }
  held_count = 0;
}

void release_virtual_tablespace([[maybe_unused]] Oid virtual_tablespace) {
  Assert(held_count > 0 && held[held_count - 1].virtual_tablespace == virtual_tablespace);
  const pg::LockHolder holder(pg::Lock::kMoments);
  table->pairs[held[--held_count].index].holders--;
}

bool holds_virtual_tablespace(Oid virtual_tablespace) {
  for (int i = 0; i < held_count; i++) {
    if (held[i].virtual_tablespace == virtual_tablespace) return true;
  }
  return false;
}

void resolve_virtual_tablespace(Oid virtual_tablespace, XLogRecPtr* lsn, Oid* tablespace, Oid* database) {
  for (int i = 0; i < held_count; i++) {
    if (held[i].virtual_tablespace == virtual_tablespace) {
      *lsn = held[i].lsn;
      *tablespace = held[i].tablespace;
      *database = held[i].database;
      return;
    }
  }
  ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                  errmsg_internal("virtual tablespace %u is not held by this process", virtual_tablespace)));
}

void publish_moment(const Moment& moment) { moments[MyProcNumber] = moment; }

Moment published_moment(ProcNumber proc) { return moments[proc]; }

}  // namespace strata::travel
