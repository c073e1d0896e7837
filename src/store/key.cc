#include "store/key.h"
#include "store/no_postgres.h"

namespace strata {

const char* name_of(KeyKind kind) {
  switch (kind) {
    case KeyKind::kPage:
      return "page";
    case KeyKind::kRelationSize:
      return "relation size";
    case KeyKind::kTruncation:
      return "truncation";
    case KeyKind::kDatabase:
      return "database";
    case KeyKind::kCommitLog:
      return "commit log";
    case KeyKind::kMultiXact:
      return "multixact";
    case KeyKind::kRelationMap:
      return "relation map";
    case KeyKind::kCheckpoint:
      return "checkpoint";
    case KeyKind::kNextXid:
      return "next xid";
    case KeyKind::kTimeMark:
      return "time mark";
    case KeyKind::kTablespace:
      return "tablespace";
  }
  return nullptr;
}

std::string block_name(const Key& key) {
  return "block " + std::to_string(key.block) + " of relation " + std::to_string(key.tablespace) + "/" +
         std::to_string(key.database) + "/" + std::to_string(key.relation);
}

}  // namespace strata
