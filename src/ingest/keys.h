// PostgreSQL's names for things as keys of the store.
#pragma once

extern "C" {
#include "postgres.h"

#include "common/relpath.h"
#include "storage/block.h"
#include "storage/relfilelocator.h"
}

#include "store/key.h"

namespace strata::ingest {

inline Key page_key(const RelFileLocator& locator, ForkNumber fork, BlockNumber block) {
  return {.kind = KeyKind::kPage,
          .tablespace = locator.spcOid,
          .database = locator.dbOid,
          .relation = locator.relNumber,
          .fork = static_cast<std::uint8_t>(fork),
          .block = block};
}

inline Key size_key(const RelFileLocator& locator, ForkNumber fork) {
  Key key = page_key(locator, fork, 0);
  key.kind = KeyKind::kRelationSize;
  return key;
}

inline Key truncation_key(const RelFileLocator& locator, ForkNumber fork) {
  Key key = page_key(locator, fork, 0);
  key.kind = KeyKind::kTruncation;
  return key;
}

inline Key database_key(Oid tablespace, Oid database) {
  return {.kind = KeyKind::kDatabase, .tablespace = tablespace, .database = database};
}

inline Key relation_map_key(Oid tablespace, Oid database) {
  return {.kind = KeyKind::kRelationMap, .tablespace = tablespace, .database = database};
}

inline Key tablespace_key(Oid tablespace) { return {.kind = KeyKind::kTablespace, .tablespace = tablespace}; }

inline Key commit_log_key(std::uint32_t page) { return {.kind = KeyKind::kCommitLog, .block = page}; }

inline Key multixact_key(std::uint32_t multixact) { return {.kind = KeyKind::kMultiXact, .block = multixact}; }

inline constexpr Key kCheckpointKey{.kind = KeyKind::kCheckpoint};
inline constexpr Key kNextXidKey{.kind = KeyKind::kNextXid};

}  // namespace strata::ingest
