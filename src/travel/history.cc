#include "travel/history.h"

#include <algorithm>
#include <cstring>
#include <deque>
#include <exception>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "pg/guard.h"
#include "pg/pg_env.h"
#include "pg/shared_state.h"
#include "pg/store_reader.h"
#include "redo/guarded_page.h"
#include "redo/redo.h"
#include "store/incarnations.h"
#include "store/store.h"
#include "travel/past_events.h"
#include "travel/read_meter.h"
#include "travel/resolve.h"

extern "C" {
#include "access/xlog.h"
#include "utils/memutils.h"
}

namespace strata::travel {

namespace {

constexpr std::uint32_t kMaxOid = 0xFFFFFFFF;
constexpr std::uint8_t kMaxFork = 0xFF;
constexpr BlockNumber kMaxBlock = 0xFFFFFFFF;

Key relation_key(KeyKind kind, const RelFileLocator& locator, ForkNumber fork, BlockNumber block = 0) {
  return Key{kind, locator.spcOid, locator.dbOid, locator.relNumber, static_cast<std::uint8_t>(fork), block};
}

// Of this process.
PastEvents past_events;

BlockNumber read_size(const Version& version) {
  BlockNumber blocks = 0;
  if (version.value.size() != sizeof(blocks)) {
    throw StoreError(ErrorKind::kCorrupt, "the size of a relation in the store has a wrong size");
  }
  std::memcpy(&blocks, version.value.data(), sizeof(blocks));
  return blocks;
}

RelFileLocator in_source(const RelFileLocator& locator, const DatabaseEvent& state) {
  return RelFileLocator{state.source_tablespace, state.source_database, locator.relNumber};
}

BlockNumber fork_blocks(Reader& reader, RelFileLocator locator, ForkNumber fork, XLogRecPtr at) {
  for (int depth = 0; depth < kMaxCopies; depth++) {
    const DatabaseEvent state = past_events.database_at(reader, locator.spcOid, locator.dbOid, at);
    const auto size = reader.newest(relation_key(KeyKind::kRelationSize, locator, fork), at, state.lsn);
    if (size) return size->value.empty() ? InvalidBlockNumber : read_size(*size);
    if (!state.copied) return InvalidBlockNumber;
    locator = in_source(locator, state);
    at = state.lsn;
  }
  throw_too_many_copies();
}

XLogRecPtr floor_of(const std::vector<Truncation>& truncations, BlockNumber block, XLogRecPtr since) {
  for (const Truncation& truncation : truncations) {
    if (truncation.surviving_blocks <= block) return truncation.lsn;
  }
  return since;
}

bool has_base(const Chain& chain) { return !chain.empty() && chain.front().base; }

void check_chain(const Key& key, const Chain& chain) {
  if (chain.empty() || has_base(chain)) return;
  if (chain.front().type != EntryType::kRecord && chain.front().type != EntryType::kPageDiff) return;
  throw StoreError(ErrorKind::kCorrupt,
                   "the history of " + block_name(key) + " has changes but no page to apply them to");
}

// The page that a chain of another key ends with, as the base of a chain.
Version base_from(const Key& key, const Chain& chain, XLogRecPtr lsn) {
  check_chain(key, chain);
  Version base;
  base.lsn = lsn;
  base.type = EntryType::kImage;
  base.base = true;
  std::string page(BLCKSZ, '\0');
  pg::caught([&] { redo::rebuild_page(key, chain, page.data()); });
  base.value = std::move(page);
  return base;
}

// The chains of blocks first .. first + count - 1. A chain whose base lies in the database that this one was copied
// from starts with the page that was copied: records name the relation that they change, which is another one there.
std::vector<Chain> block_chains(Reader& reader, const RelFileLocator& locator, ForkNumber fork, BlockNumber first,
                                int count, XLogRecPtr at, int depth = 0) {
  if (depth == kMaxCopies) throw_too_many_copies();
  const DatabaseEvent state = past_events.database_at(reader, locator.spcOid, locator.dbOid, at);
  const std::vector<Truncation> truncations = past_events.truncations_at(reader, locator, fork, at, state.lsn);
  pg::pg_env().reached("events-read");

  std::vector<Chain> chains(static_cast<std::size_t>(count));
  std::vector<Key> keys;
  int done = 0;
  while (done < count) {
    const XLogRecPtr floor = floor_of(truncations, first + static_cast<BlockNumber>(done), state.lsn);
    keys.clear();
    int end = done;
    while (end < count && floor_of(truncations, first + static_cast<BlockNumber>(end), state.lsn) == floor) {
      keys.push_back(relation_key(KeyKind::kPage, locator, fork, first + static_cast<BlockNumber>(end)));
      end++;
    }
    reader.chains(keys, at, floor,
                  [&](std::size_t i, Chain&& chain) { chains[static_cast<std::size_t>(done) + i] = std::move(chain); });
    if (state.copied && floor == state.lsn) {
      const RelFileLocator source = in_source(locator, state);
      for (int i = done; i < end; i++) {
        Chain& chain = chains[static_cast<std::size_t>(i)];
        if (has_base(chain)) continue;
        const BlockNumber block = first + static_cast<BlockNumber>(i);
        const Chain older = std::move(block_chains(reader, source, fork, block, 1, state.lsn, depth + 1)[0]);
        if (older.empty()) continue;
        const Key key = relation_key(KeyKind::kPage, source, fork, block);
        chain.insert(chain.begin(), base_from(key, older, state.lsn));
      }
    }
    done = end;
  }
  return chains;
}

// Runs `read`, which must be repeatable, until all of it has seen one layer map. Garbage collection moves what belongs
// to a copied database from its source to itself: an event read before that does not fit a page read after it.
template <typename Read>
void with_one_layer_map(Reader& reader, Read&& read) {
  for (;;) {
    const std::uint64_t version = pg::shared_store->layer_map_version();
    past_events.validate(version, pg::shared_store->epoch());
    try {
      read(reader);
    } catch (const StoreError&) {
      if (pg::shared_store->layer_map_version() == version) throw;
      continue;
    }
    if (pg::shared_store->layer_map_version() == version) return;
  }
}

// Runs `read` with this process's reader, and counts it as a reading of `kind`. What ingest has seen may shrink once:
// when its worker starts again and reads WAL anew that was not in layer files. A moment beyond that must not be
// answered from less than all of its history, nor one that falls below the GC cutoff meanwhile.
template <typename Read>
void read_history(KeyKind kind, XLogRecPtr at, Read&& read) {
  Reader& reader = pg::store_reader();
  pg::guarded([&] {
    try {
      const ReadMeter meter(reader, kind);
      const std::uint64_t epoch = pg::shared_store->epoch();
      if (pg::shared_store->visible_lsn() >= at) with_one_layer_map(reader, read);
      if (pg::shared_store->visible_lsn() < at || pg::shared_store->epoch() != epoch) {
        throw StoreError(ErrorKind::kNotFound,
                         "the end of history is being read again after a restart of its worker; try again");
      }
    } catch (const std::exception&) {
      // Of history that is gone, only that matters.
      if (!pg::is_below_gc_cutoff(at)) throw;
    }
  });
  require_above_gc_cutoff(at);
}

}  // namespace

BlockNumber nblocks_at(const RelFileLocator& locator, ForkNumber fork, XLogRecPtr at) {
  if (fork == FSM_FORKNUM) return InvalidBlockNumber;
  BlockNumber blocks = InvalidBlockNumber;
  read_history(KeyKind::kRelationSize, at, [&](Reader& reader) { blocks = fork_blocks(reader, locator, fork, at); });
  return blocks;
}

void read_pages_at(const RelFileLocator& locator, ForkNumber fork, BlockNumber first, int count, XLogRecPtr at,
                   char** pages) {
  read_history(KeyKind::kPage, at, [&](Reader& reader) {
    const std::vector<Chain> chains = block_chains(reader, locator, fork, first, count, at);
    for (int i = 0; i < count; i++) {
      const BlockNumber block = first + static_cast<BlockNumber>(i);
      const Chain& chain = chains[static_cast<std::size_t>(i)];
      const Key key = relation_key(KeyKind::kPage, locator, fork, block);
      check_chain(key, chain);
      if (chain.empty()) {
        std::memset(pages[i], 0, BLCKSZ);
      } else {
        pg::caught([&] { redo::rebuild_page(key, chain, pages[i]); });
      }
    }
  });
}

XLogRecPtr database_created_at(Oid tablespace, Oid database, XLogRecPtr at) {
  XLogRecPtr created = InvalidXLogRecPtr;
  read_history(KeyKind::kDatabase, at,
               [&](Reader& reader) { created = past_events.database_at(reader, tablespace, database, at).lsn; });
  return created;
}

int changed_blocks(const RelFileLocator& locator, ForkNumber fork, BlockNumber first, XLogRecPtr from, XLogRecPtr to,
                   BlockNumber* blocks, int limit) {
  int count = 0;
  read_history(KeyKind::kPage, to, [&](Reader& reader) {
    count = 0;
    const Lsn floor = std::max(from, past_events.database_at(reader, locator.spcOid, locator.dbOid, to).lsn);
    reader.scan(
        relation_key(KeyKind::kPage, locator, fork, first), relation_key(KeyKind::kPage, locator, fork, kMaxBlock), to,
        [&](const Key& key, const Version&) {
          if (count == limit) return false;
          blocks[count++] = key.block;
          return true;
        },
        floor);
  });
  return count;
}

namespace {

// Versions that are in memory at once.
constexpr std::size_t kWalkedVersions = 4096;

// The oldest versions of a page in (from, to], oldest first; all versions of their LSNs.
std::deque<Version> oldest_versions(Reader& reader, const Key& key, XLogRecPtr from, XLogRecPtr to) {
  std::deque<Version> oldest;
  bool all = true;
  reader.history(key, to, from, [&](const Version& version) {
    oldest.push_front(version);
    if (oldest.size() > kWalkedVersions && oldest.back().lsn != oldest.front().lsn) {
      oldest.pop_back();
      all = false;
    }
    return true;
  });
  if (all || oldest.back().lsn == oldest.front().lsn) return oldest;
  const XLogRecPtr incomplete = oldest.back().lsn;
  while (oldest.back().lsn == incomplete) oldest.pop_back();
  return oldest;
}

// A block on its way from one LSN to another.
class BlockWalk {
 public:
  BlockWalk(const RelFileLocator& locator, ForkNumber fork, BlockNumber block, XLogRecPtr to)
      : locator_(locator),
        fork_(fork),
        block_(block),
        to_(to),
        key_(relation_key(KeyKind::kPage, locator, fork, block)) {}

  // Its state as of `from`.
  void begin(Reader& reader, XLogRecPtr from) {
    const DatabaseEvent database = past_events.database_at(reader, locator_.spcOid, locator_.dbOid, to_);
    done_ = std::max(from, database.lsn);
    truncations_.clear();
    for (const Truncation& truncation : past_events.truncations_at(reader, locator_, fork_, to_, done_)) {
      if (truncation.surviving_blocks <= block_) truncations_.push_back(truncation.lsn);
    }
    const Chain chain = std::move(block_chains(reader, locator_, fork_, block_, 1, done_)[0]);
    check_chain(key_, chain);
    if (chain.empty()) {
      std::memset(page(), 0, BLCKSZ);
    } else {
      pg::caught([&] { redo::rebuild_page(key_, chain, page()); });
    }
  }

  // The next of its versions; false when there are none any more.
  bool load(Reader& reader) {
    versions_ = oldest_versions(reader, key_, done_, to_);
    return !versions_.empty();
  }

  void apply_loaded(PageVisitor visit, void* context) {
    for (const Version& version : versions_) {
      reset_before(version.lsn, visit, context);
      pg::caught([&] {
        redo::apply_to_page(key_, version, walked_page_);
        visit(page(), version.lsn, context);
      });
      done_ = version.lsn;
    }
  }

  // Truncations after the last version, too.
  void end(PageVisitor visit, void* context) { reset_before(to_, visit, context); }

  [[nodiscard]] XLogRecPtr done() const { return done_; }
  static char* page() { return walked_page_.data(); }

 private:
  void reset_before(XLogRecPtr lsn, PageVisitor visit, void* context) {
    for (; !truncations_.empty() && truncations_.back() <= lsn; truncations_.pop_back()) {
      std::memset(page(), 0, BLCKSZ);
      pg::caught([&] { visit(page(), truncations_.back(), context); });
    }
  }

  static redo::GuardedPage walked_page_;

  RelFileLocator locator_;
  ForkNumber fork_;
  BlockNumber block_;
  XLogRecPtr to_;
  Key key_;
  XLogRecPtr done_ = InvalidXLogRecPtr;
  std::vector<XLogRecPtr> truncations_;  // still to come, newest first
  std::deque<Version> versions_;
};

redo::GuardedPage BlockWalk::walked_page_;

}  // namespace

void walk_block(const RelFileLocator& locator, ForkNumber fork, BlockNumber block, XLogRecPtr from, XLogRecPtr to,
                PageVisitor visit, void* context) {
  pg::guarded([&] {
    BlockWalk walk(locator, fork, block, to);
    pg::caught([&] {
      read_history(KeyKind::kPage, to, [&](Reader& reader) { walk.begin(reader, from); });
      visit(BlockWalk::page(), walk.done(), context);
    });
    for (bool more = true; more;) {
      pg::caught([&] { read_history(KeyKind::kPage, to, [&](Reader& reader) { more = walk.load(reader); }); });
      walk.apply_loaded(visit, context);
    }
    walk.end(visit, context);
  });
  require_above_gc_cutoff(from);
}

bool copied_through_wal_at(Oid tablespace, Oid database, XLogRecPtr at) {
  bool through_wal = false;
  read_history(KeyKind::kDatabase, at, [&](Reader& reader) {
    DatabaseEvent state = past_events.database_at(reader, tablespace, database, at);
    for (int depth = 1; state.copied; depth++) {
      if (depth == kMaxCopies) throw_too_many_copies();
      state = past_events.database_at(reader, state.source_tablespace, state.source_database, state.lsn);
    }
    through_wal = state.lsn != InvalidXLogRecPtr;
  });
  return through_wal;
}

void read_commit_log_page_at(uint32 pageno, XLogRecPtr at, char* page) {
  const Key key{KeyKind::kCommitLog, 0, 0, 0, 0, pageno};
  read_history(KeyKind::kCommitLog, at, [&](Reader& reader) {
    const Chain chain = reader.chain(key, at);
    pg::caught([&] { redo::rebuild_commit_log_page(key, chain, page); });
  });
}

void visit_transaction_ends(uint32 pageno, XLogRecPtr from, XLogRecPtr to, TransactionEndVisitor visit, void* context) {
  pg::guarded([&] {
    std::vector<Version> changes;
    pg::caught([&] {
      read_history(KeyKind::kCommitLog, to, [&](Reader& reader) {
        changes.clear();
        reader.history(Key{KeyKind::kCommitLog, 0, 0, 0, 0, pageno}, to, from, [&](const Version& version) {
          if (version.type == EntryType::kXidStatus) changes.push_back(version);
          return true;
        });
      });
    });
    std::vector<TransactionId> xids;
    for (const Version& change : changes) {
      const std::string_view value = change.value;
      if (value.empty() || (value.size() - 1) % sizeof(TransactionId) != 0) {
        throw StoreError(ErrorKind::kCorrupt, "transaction statuses in the store have a wrong size");
      }
      xids.resize((value.size() - 1) / sizeof(TransactionId));
      std::memcpy(xids.data(), value.data() + 1, value.size() - 1);
      pg::caught([&] {
        visit(static_cast<uint8>(value[0]), xids.data(), static_cast<int>(xids.size()), change.lsn, context);
      });
    }
  });
  require_above_gc_cutoff(from);
}

bool next_changed_commit_log_page(uint32 first, uint32 end, XLogRecPtr from, XLogRecPtr to, uint32* pageno) {
  bool found = false;
  if (first >= end) return false;
  read_history(KeyKind::kCommitLog, to, [&](Reader& reader) {
    found = false;
    reader.scan(
        Key{KeyKind::kCommitLog, 0, 0, 0, 0, first}, Key{KeyKind::kCommitLog, 0, 0, 0, 0, end - 1}, to,
        [&](const Key& key, const Version&) {
          *pageno = key.block;
          found = true;
          return false;
        },
        from);
  });
  return found;
}

namespace {

std::optional<Version> relation_map_version(Reader& reader, Oid tablespace, Oid database, XLogRecPtr at) {
  const DatabaseEvent state = past_events.database_at(reader, tablespace, database, at);
  // A copied database's map is written at the LSN of the copy itself.
  const XLogRecPtr floor = state.lsn == InvalidXLogRecPtr ? InvalidXLogRecPtr : state.lsn - 1;
  return reader.newest(Key{KeyKind::kRelationMap, tablespace, database, 0, 0, 0}, at, floor);
}

}  // namespace

bool database_has_files_at(Oid tablespace, Oid database, XLogRecPtr at) {
  bool found = false;
  read_history(KeyKind::kRelationMap, at,
               [&](Reader& reader) { found = relation_map_version(reader, tablespace, database, at).has_value(); });
  return found;
}

std::vector<XLogRecPtr> directory_events(Oid database, XLogRecPtr since, XLogRecPtr until) {
  std::vector<XLogRecPtr> found;
  read_history(KeyKind::kDatabase, until, [&](Reader& reader) {
    found.clear();
    std::vector<Key> directories;
    reader.scan(Key{KeyKind::kDatabase, 0, 0, 0, 0, 0}, Key{KeyKind::kDatabase, kMaxOid, kMaxOid, kMaxOid, kMaxFork, 0},
                until, [&](const Key& key, const Version&) {
                  if (key.database == database) directories.push_back(key);
                  return true;
                });
    for (const Key& directory : directories) {
      for (const DatabaseEvent& event : read_database_events(reader, directory, until)) {
        if (event.lsn > since) found.push_back(event.lsn);
      }
    }
  });
  return found;
}

bool read_relation_map_at(Oid tablespace, Oid database, XLogRecPtr at, void* map, Size size) {
  bool found = false;
  read_history(KeyKind::kRelationMap, at, [&](Reader& reader) {
    const auto version = relation_map_version(reader, tablespace, database, at);
    if (!version) return;
    if (version->value.size() != size)
      throw StoreError(ErrorKind::kCorrupt, "a relation map in the store has a wrong size");
    std::memcpy(map, version->value.data(), size);
    found = true;
  });
  return found;
}

namespace {

// Adds up the relations of one directory. A relation that a copied database has from its source counts where the copy
// has not changed its size itself.
void add_directory(Reader& reader, Oid tablespace, Oid database, XLogRecPtr at,
                   std::map<std::pair<Oid, int>, std::uint64_t>& forks, int depth) {
  if (depth == kMaxCopies) throw_too_many_copies();
  const DatabaseEvent state = past_events.database_at(reader, tablespace, database, at);
  if (state.copied) add_directory(reader, state.source_tablespace, state.source_database, state.lsn, forks, depth + 1);
  const Key first{KeyKind::kRelationSize, tablespace, database, 0, 0, 0};
  const Key last{KeyKind::kRelationSize, tablespace, database, kMaxOid, kMaxFork, 0};
  reader.scan(first, last, at, [&](const Key& key, const Version& version) {
    if (version.lsn > state.lsn) {
      forks[{key.relation, key.fork}] = version.value.empty() ? 0 : read_size(version);
    }
    return true;
  });
}

// Directories of relations that there ever were, up to `at`, that match.
std::set<std::pair<Oid, Oid>> directories(Reader& reader, Oid tablespace, Oid database, XLogRecPtr at) {
  std::set<std::pair<Oid, Oid>> found;
  for (const KeyKind kind : {KeyKind::kRelationMap, KeyKind::kDatabase, KeyKind::kRelationSize}) {
    const Key first{kind, tablespace, 0, 0, 0, 0};
    const Key last{kind, tablespace != InvalidOid ? tablespace : kMaxOid, kMaxOid, kMaxOid, kMaxFork, 0};
    reader.scan(first, last, at, [&](const Key& key, const Version&) {
      if (database == InvalidOid || key.database == database) found.emplace(key.tablespace, key.database);
      return true;
    });
  }
  return found;
}

}  // namespace

int64 directory_bytes_at(Oid tablespace, Oid database, XLogRecPtr at) {
  std::uint64_t blocks = 0;
  read_history(KeyKind::kRelationSize, at, [&](Reader& reader) {
    blocks = 0;
    for (const auto& [directory_tablespace, directory_database] : directories(reader, tablespace, database, at)) {
      std::map<std::pair<Oid, int>, std::uint64_t> forks;
      add_directory(reader, directory_tablespace, directory_database, at, forks, 0);
      for (const auto& [fork, size] : forks) blocks += size;
    }
  });
  return static_cast<int64>(blocks * BLCKSZ);
}

bool read_multixact_at(uint32 multi, XLogRecPtr at, char** members, Size* size) {
  bool found = false;
  read_history(KeyKind::kMultiXact, at, [&](Reader& reader) {
    const auto version = reader.newest(Key{KeyKind::kMultiXact, 0, 0, 0, 0, multi}, at);
    if (!version) return;
    found = true;
    *size = version->value.size();
    pg::caught([&] { *members = static_cast<char*>(palloc(*size + 1)); });
    std::memcpy(*members, version->value.data(), *size);
  });
  return found;
}

char* tablespace_location_at(Oid tablespace, XLogRecPtr at) {
  Reader& reader = pg::store_reader();
  char* location = nullptr;
  pg::guarded([&] {
    const ReadMeter meter(reader, KeyKind::kTablespace);
    const auto version = reader.newest(Key{KeyKind::kTablespace, tablespace, 0, 0, 0, 0}, at);
    if (!version) return;
    const std::string_view path = version->value;
    pg::caught([&] { location = pnstrdup(path.data(), path.size()); });
  });
  return location;
}

FullTransactionId next_xid_at(XLogRecPtr at) {
  std::uint64_t next = 0;
  read_history(KeyKind::kNextXid, at, [&](Reader& reader) {
    const auto version = reader.newest(Key{KeyKind::kNextXid, 0, 0, 0, 0, 0}, at);
    if (!version || version->value.size() != sizeof(next)) {
      throw StoreError(ErrorKind::kCorrupt, "the store does not know the next transaction id");
    }
    std::memcpy(&next, version->value.data(), sizeof(next));
  });
  return FullTransactionIdFromU64(next);
}

}  // namespace strata::travel
