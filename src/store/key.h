// What has versions: a page, a relation's size, a commit-log page, a relation map, ...
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <string>

namespace strata {

// Persisted. A number is never used again.
enum class KeyKind : std::uint8_t {
  // A block of a relation's fork. All fields.
  kPage = 1,
  // The size of a relation's fork in blocks (value: u32). All fields but block, which is 0.
  kRelationSize = 2,
  // Truncations, drops and creations of a relation's fork (value: u32, the number of blocks that survive).
  // All fields but block, which is 0.
  kTruncation = 3,
  // A database in one tablespace: copied from another one (value: u32 tablespace, u32 database), created empty or
  // dropped (value: empty). tablespace, database.
  kDatabase = 4,
  // A page of the commit log (pg_xact). block = page number.
  kCommitLog = 5,
  // The members of one multixact. block = MultiXactId.
  kMultiXact = 6,
  // A relation map file (value: the file's bytes). tablespace and database; both as PostgreSQL names them for shared
  // catalogs: GLOBALTABLESPACE_OID and 0.
  kRelationMap = 7,
  // A checkpoint record's CheckPoint struct. No field.
  kCheckpoint = 8,
  // The next FullTransactionId (value: u64). No field.
  kNextXid = 9,
  // A commit or abort whose timestamp is later than any before it (value: u64, the record's start LSN).
  // tablespace and database hold the upper and lower half of the timestamp, microseconds since 2000-01-01 UTC,
  // with the sign bit flipped, so that keys sort as timestamps do.
  kTimeMark = 10,
  // Where a tablespace lies (value: the path, as pg_tablespace_location() shows it). tablespace.
  kTablespace = 11,
};

// As users see it, for example "page"; null for a number that is no kind.
[[nodiscard]] const char* name_of(KeyKind kind);

// Whether its states are pages of 8192 bytes, rebuilt from chains.
constexpr bool holds_pages(KeyKind kind) { return kind == KeyKind::kPage || kind == KeyKind::kCommitLog; }

// Orders by kind, tablespace, database, relation, fork, block. Trivially copyable, lives in shared memory.
struct Key {
  KeyKind kind = KeyKind::kPage;
  std::uint32_t tablespace = 0;
  std::uint32_t database = 0;
  std::uint32_t relation = 0;  // relfilenumber
  std::uint8_t fork = 0;       // PostgreSQL's ForkNumber: 0 main, 1 fsm, 2 vm, 3 init
  std::uint32_t block = 0;

  friend constexpr auto operator<=>(const Key&, const Key&) = default;
};

// As messages name a page: "block 7 of relation 1663/5/16384".
[[nodiscard]] std::string block_name(const Key& key);

}  // namespace strata
