#include "store/incarnations.h"

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

Truncation truncation_of(const Version& version) {
  Truncation truncation{.lsn = version.lsn};
  if (version.value.size() != sizeof truncation.surviving_blocks) {
    throw StoreError(ErrorKind::kCorrupt, "a truncation in the store has a wrong size");
  }
  std::memcpy(&truncation.surviving_blocks, version.value.data(), sizeof truncation.surviving_blocks);
  return truncation;
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

std::vector<Truncation> read_truncations(Reader& reader, const Key& key, Lsn end) {
  std::vector<Truncation> truncations;
  Key fork = key;
  fork.kind = KeyKind::kTruncation;
  fork.block = 0;
  reader.history(fork, end, kInvalidLsn, [&](const Version& version) {
    truncations.push_back(truncation_of(version));
    return true;
  });
  return truncations;
}

void Incarnations::load_database(const Key& key) {
  const auto database = std::make_tuple(key.tablespace, key.database);
  if (database_ == database) return;
  database_.reset();
  fork_.reset();
  database_events_ = read_database_events(reader_, key, end_);
  database_ = database;
}

void Incarnations::load(const Key& key) {
  load_database(key);
  const auto fork = std::make_tuple(key.tablespace, key.database, key.relation, key.fork);
  if (fork_ == fork) return;
  fork_.reset();
  truncations_ = read_truncations(reader_, key, end_);
  fork_ = fork;
}

DatabaseEvent Incarnations::database_event_at(const Key& key, Lsn at) {
  load_database(key);
  const auto event = std::find_if(database_events_.begin(), database_events_.end(),
                                  [&](const DatabaseEvent& one) { return one.lsn <= at; });
  return event == database_events_.end() ? DatabaseEvent{} : *event;
}

Lsn Incarnations::floor_at(const Key& key, Lsn at) {
  load(key);
  Lsn floor = database_event_at(key, at).lsn;
  const auto truncation = std::find_if(truncations_.begin(), truncations_.end(), [&](const Truncation& one) {
    return one.lsn <= at && one.surviving_blocks <= key.block;
  });
  if (truncation != truncations_.end()) floor = std::max(floor, truncation->lsn);
  return floor;
}

}  // namespace strata
