#include "pg/wal_space.h"

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "utils/timestamp.h"
}

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>

#include "pg/shared_state.h"

namespace strata::pg {

namespace {

constexpr int kMaxAge = 100;  // milliseconds
// Of a small disk not more than an eighth, but a few segments of WAL in any case.
constexpr std::uint64_t kPartOfDisk = 8;
constexpr std::uint64_t kSegments = 4;

WalSpace look() {
  struct statvfs disk;
  if (statvfs(XLOGDIR, &disk) != 0) return {};
  const std::uint64_t unit = disk.f_frsize != 0 ? disk.f_frsize : disk.f_bsize;
  const std::uint64_t between_checkpoints = static_cast<std::uint64_t>(max_wal_size_mb) << 20;
  const std::uint64_t least = kSegments * static_cast<std::uint64_t>(wal_segment_size);
  return {.free = disk.f_bavail * unit,
          .reserve = std::max(least, std::min(between_checkpoints, disk.f_blocks * unit / kPartOfDisk)),
          .known = true};
}

}  // namespace

WalSpace wal_space() {
  static WalSpace space;
  static TimestampTz looked_at = 0;
  const TimestampTz now = GetCurrentTimestamp();
  // A clock that is set back must not keep anybody from looking.
  if (looked_at == 0 || now < looked_at || TimestampDifferenceExceeds(looked_at, now, kMaxAge)) {
    space = look();
    looked_at = now;
  }
  return space;
}

bool store_shares_disk_of_wal() {
  struct stat wal;
  struct stat store;
  return stat(XLOGDIR, &wal) == 0 && stat(kStoreDirectory, &store) == 0 && wal.st_dev == store.st_dev;
}

}  // namespace strata::pg
