// Room on the disk of WAL: where it is used up, the server stops with a PANIC. History must never be the reason.
#pragma once

#include <cstdint>

namespace strata::pg {

// Bytes, of the file system of pg_wal.
struct WalSpace {
  std::uint64_t free = 0;
  std::uint64_t reserve = 0;  // what history leaves alone: WAL that comes between two checkpoints
  bool known = false;         // false: the file system does not tell
};

// As of a tenth of a second ago at most. Cheap. Any process of the server.
[[nodiscard]] WalSpace wal_space();

// Whether the store lies on the same file system. Cheap.
[[nodiscard]] bool store_shares_disk_of_wal();

}  // namespace strata::pg
