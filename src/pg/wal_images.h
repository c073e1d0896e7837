// Page images that the memtable leaves in WAL until they are flushed.
#pragma once

extern "C" {
#include "postgres.h"
}

#include <cstdint>
#include <memory>

#include "store/lsn.h"
#include "store/wal_values.h"

namespace strata::pg {

// Which image: what the store keeps for the value. The value is the page that redo of the record leaves.
struct WalImage {
  Lsn begin = kInvalidLsn;  // of the record
  std::uint32_t bytes = 0;  // from there to the record's end LSN
  std::uint32_t block_id = 0;
};

// Reads them in the WAL of the cluster's timeline, and verifies the records. REQUIRES: recovery has ended.
[[nodiscard]] std::unique_ptr<WalValues> open_wal_images();

}  // namespace strata::pg
