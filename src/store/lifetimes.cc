#include "store/lifetimes.h"

#include <algorithm>
#include <cstring>

#include "store/no_postgres.h"

namespace strata {

namespace {

DatabaseEvent event_of(const Version& version) {
  DatabaseEvent event{.lsn = version.lsn};
  if (version.value.empty()) return event;
  if (version.value.size() != sizeof event.source_tablespace + sizeof event.source_database) {
    throw StoreError(ErrorKind::kCorrupt, "the copy of a database in the store has a wrong size");
  }
  event.copied = true;
  std::memcpy(&event.source_tablespace, version.value.data(), sizeof event.source_tablespace);
  std::memcpy(&event.source_database, version.value.data() + sizeof event.source_tablespace,
              sizeof event.source_database);
  return event;
}

Reset reset_of(const Version& version) {
  Reset reset{.lsn = version.lsn};
  if (version.value.size() != sizeof reset.surviving_blocks) {
    throw StoreError(ErrorKind::kCorrupt, "a truncation in the store has a wrong size");
  }
  std::memcpy(&reset.surviving_blocks, version.value.data(), sizeof reset.surviving_blocks);
  return reset;
}

}  // namespace

void throw_too_many_copies() {
  throw StoreError(ErrorKind::kCorrupt, "databases in the store are copies of each other without end");
}

std::vector<DatabaseEvent> read_database_events(Reader& reader, const Key& key, Lsn end) {
  std::vector<DatabaseEvent> events;
  const Key database{.kind = KeyKind::kDatabase, .tablespace = key.tablespace, .database = key.database};
  reader.history(database, end, kInvalidLsn, [&](const Version& version) {
    events.push_back(event_of(version));
    return true;
  });
  return events;
}

std::vector<Reset> read_resets(Reader& reader, const Key& key, Lsn end) {
  std::vector<Reset> resets;
  Key fork = key;
  fork.kind = KeyKind::kRelationReset;
  fork.block = 0;
  reader.history(fork, end, kInvalidLsn, [&](const Version& version) {
    resets.push_back(reset_of(version));
    return true;
  });
  return resets;
}

void Lifetimes::load_database(const Key& key) {
  const auto database = std::make_tuple(key.tablespace, key.database);
  if (database_ == database) return;
  database_.reset();
  fork_.reset();
  database_events_ = read_database_events(reader_, key, end_);
  database_ = database;
}

void Lifetimes::load(const Key& key) {
  load_database(key);
  const auto fork = std::make_tuple(key.tablespace, key.database, key.relation, key.fork);
  if (fork_ == fork) return;
  fork_.reset();
  resets_ = read_resets(reader_, key, end_);
  fork_ = fork;
}

DatabaseEvent Lifetimes::database_event_at(const Key& key, Lsn at) {
  load_database(key);
  const auto event = std::find_if(database_events_.begin(), database_events_.end(),
                                  [&](const DatabaseEvent& one) { return one.lsn <= at; });
  return event == database_events_.end() ? DatabaseEvent{} : *event;
}

Lsn Lifetimes::floor_at(const Key& key, Lsn at) {
  load(key);
  Lsn floor = database_event_at(key, at).lsn;
  const auto reset = std::find_if(resets_.begin(), resets_.end(),
                                  [&](const Reset& one) { return one.lsn <= at && one.surviving_blocks <= key.block; });
  if (reset != resets_.end()) floor = std::max(floor, reset->lsn);
  return floor;
}

}  // namespace strata
