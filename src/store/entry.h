// One version of one key.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "store/key.h"
#include "store/lsn.h"
#include "store/value.h"

namespace strata {

// How a value is to be read. Persisted; a number is never used again. The store itself only carries it.
enum class EntryType : std::uint8_t {
  // The whole value of a key that is not a page, as key.h says for its kind.
  kValue = 1,
  // A whole page of 8192 bytes, its LSN set.
  kImage = 2,
  // A WAL record as PostgreSQL writes it (XLogRecord first), full-page images of other blocks taken out.
  kRecord = 3,
  // Clears visibility-map bits: u32 heap block, u8 flags.
  kVmClear = 4,
  // Clears the visibility-map bits of all heap blocks from one on: u32 first heap block cleared.
  kVmTruncate = 5,
  // Sets transaction statuses on a commit-log page: u8 status, then u32 xids, all of them on this page.
  kXidStatus = 6,
  // What differs from the page one version before: runs of u16 offset, u16 length, bytes.
  kPageDiff = 7,
  // A page that could not be rebuilt any more when garbage older than the horizon was collected: the reason, as text.
  // It applies to nothing.
  kUnreconstructable = 8,
};

// A version to be added. The value is borrowed.
struct Entry {
  Key key;
  Lsn lsn = kInvalidLsn;  // end LSN of its record
  EntryType type = EntryType::kValue;
  bool base = false;  // needs no older version: an image, a record that initialises, a whole value
  std::span<const std::byte> value;
  // The value stays in WAL until it is flushed, and `value` is what Env::wal_values() finds it by.
  bool in_wal = false;
};

// A version that was read.
struct Version {
  Lsn lsn = kInvalidLsn;
  EntryType type = EntryType::kValue;
  bool base = false;
  Value value;
};

// A copy of what was to be added.
[[nodiscard]] inline Version version_of(const Entry& entry) {
  return {.lsn = entry.lsn,
          .type = entry.type,
          .base = entry.base,
          .value = Value::copy_of({reinterpret_cast<const char*>(entry.value.data()), entry.value.size()})};
}

}  // namespace strata
