#include "store/lifetimes.h"

#include <algorithm>
#include <cstring>

#include "store/no_postgres.h"

namespace strata {

void Lifetimes::load(const Key& key) {
  const auto database = std::make_tuple(key.tablespace, key.database);
  if (database_ != database) {
    database_.reset();
    fork_.reset();
    database_events_.clear();
    const Key events{.kind = KeyKind::kDatabase, .tablespace = key.tablespace, .database = key.database};
    reader_.history(events, end_, kInvalidLsn, [&](const Version& version) {
      database_events_.push_back(version.lsn);
      return true;
    });
    database_ = database;
  }
  const auto fork = std::make_tuple(key.tablespace, key.database, key.relation, key.fork);
  if (fork_ != fork) {
    fork_.reset();
    resets_.clear();
    Key resets = key;
    resets.kind = KeyKind::kRelationReset;
    resets.block = 0;
    reader_.history(resets, end_, kInvalidLsn, [&](const Version& version) {
      Reset reset{.lsn = version.lsn, .surviving_blocks = 0};
      if (version.value.size() != sizeof reset.surviving_blocks) {
        throw StoreError(ErrorKind::kCorrupt, "a truncation in the store has a wrong size");
      }
      std::memcpy(&reset.surviving_blocks, version.value.data(), sizeof reset.surviving_blocks);
      resets_.push_back(reset);
      return true;
    });
    fork_ = fork;
  }
}

Lsn Lifetimes::floor_at(const Key& key, Lsn at) {
  load(key);
  Lsn floor = kInvalidLsn;
  const auto event = std::find_if(database_events_.begin(), database_events_.end(), [&](Lsn lsn) { return lsn <= at; });
  if (event != database_events_.end()) floor = *event;
  const auto reset = std::find_if(resets_.begin(), resets_.end(),
                                  [&](const Reset& one) { return one.lsn <= at && one.surviving_blocks <= key.block; });
  if (reset != resets_.end()) floor = std::max(floor, reset->lsn);
  return floor;
}

}  // namespace strata
