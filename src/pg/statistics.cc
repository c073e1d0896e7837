#include "pg/statistics.h"

extern "C" {
#include "access/parallel.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/atomics.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "utils/pgstat_internal.h"
#include "utils/timestamp.h"
}

#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <type_traits>

#include "pg/max_processes.h"
#include "pg/shared_memory.h"

namespace strata::pg {

namespace {

constexpr PgStat_Kind kKind = 29;
constexpr const char* kFile = PGSTAT_STAT_PERMANENT_DIRECTORY "/strata.stat";
constexpr const char* kTemporaryFile = PGSTAT_STAT_PERMANENT_DIRECTORY "/strata.stat.tmp";

struct SharedStatistics {
  LWLock lock;
  Statistics statistics;
};

// What stands in the file. Of another build or broken: as if there were none.
struct FileContent {
  std::uint64_t magic;
  Statistics statistics;
  std::uint64_t end;
};
static_assert(std::is_trivially_copyable_v<FileContent>);
constexpr std::uint64_t kMagic = 0x31'54'41'54'53'52'54'53;  // STRSTAT1

// The sums that parallel workers hand to the process that leads them, by its number.
struct LeaderSums {
  std::array<pg_atomic_uint64, sizeof(ReadStatistics) / sizeof(std::uint64_t)> sums;
};
using Numbers = std::array<std::uint64_t, std::tuple_size_v<decltype(LeaderSums::sums)>>;
static_assert(sizeof(Numbers) == sizeof(ReadStatistics) && std::is_trivially_copyable_v<ReadStatistics>);

LeaderSums* leaders = nullptr;
ReadStatistics pending[kReadKinds];
bool has_pending = false;
ReadStatistics own;        // of this process, all kinds
ReadStatistics handed_on;  // of these, what its leader knows

Numbers numbers_of(const ReadStatistics& read) { return std::bit_cast<Numbers>(read); }

SharedStatistics* shared() { return static_cast<SharedStatistics*>(pgstat_get_custom_shmem_data(kKind)); }

void initialize_shared(void* memory) {
  auto* statistics = static_cast<SharedStatistics*>(memory);
  LWLockInitialize(&statistics->lock, LWTRANCHE_PGSTATS_DATA);
  statistics->statistics.since = GetCurrentTimestamp();
}

bool flush(bool nowait) {
  if (!has_pending) return false;
  SharedStatistics* target = shared();
  if (!nowait) {
    LWLockAcquire(&target->lock, LW_EXCLUSIVE);
  } else if (!LWLockConditionalAcquire(&target->lock, LW_EXCLUSIVE)) {
    return true;
  }
  for (std::size_t i = 0; i < kReadKinds; ++i) {
    target->statistics.reads[i] += pending[i];
    pending[i] = ReadStatistics{};
  }
  LWLockRelease(&target->lock);
  has_pending = false;
  return false;
}

void reset_all(TimestampTz now) {
  SharedStatistics* target = shared();
  LWLockAcquire(&target->lock, LW_EXCLUSIVE);
  target->statistics = Statistics{};
  target->statistics.since = now;
  LWLockRelease(&target->lock);
}

void take_snapshot() {
  SharedStatistics* source = shared();
  LWLockAcquire(&source->lock, LW_SHARED);
  std::memcpy(pgstat_get_custom_snapshot_data(kKind), &source->statistics, sizeof(Statistics));
  LWLockRelease(&source->lock);
}

// At the end of the postmaster, when nobody else is left.
void write_file(int code, Datum) {
  if (code != 0) return;
  const FileContent content{.magic = kMagic, .statistics = shared()->statistics, .end = kMagic};
  FILE* file = AllocateFile(kTemporaryFile, PG_BINARY_W);
  bool written = false;
  if (file != nullptr) {
    written = fwrite(&content, sizeof(content), 1, file) == 1;
    written = FreeFile(file) == 0 && written;
  }
  if (written && durable_rename(kTemporaryFile, kFile, LOG) == 0) return;
  ereport(LOG, (errcode_for_file_access(), errmsg("could not write file \"%s\": %m", kTemporaryFile)));
  unlink(kTemporaryFile);
}

// It is gone afterwards, so that nothing is left to be read after a crash.
void read_file() {
  FILE* file = AllocateFile(kFile, PG_BINARY_R);
  if (file == nullptr) return;
  FileContent content;
  if (fread(&content, sizeof(content), 1, file) == 1 && content.magic == kMagic && content.end == kMagic) {
    shared()->statistics = content.statistics;
  }
  FreeFile(file);
  unlink(kFile);
}

const PgStat_KindInfo* kind_info() {
  static const PgStat_KindInfo info = {
      .fixed_amount = true,
      .accessed_across_databases = false,
      .write_to_file = false,
      .shared_size = sizeof(SharedStatistics),
      .snapshot_ctl_off = 0,
      .shared_ctl_off = 0,
      .shared_data_off = offsetof(SharedStatistics, statistics),
      .shared_data_len = sizeof(Statistics),
      .pending_size = 0,
      .init_backend_cb = nullptr,
      .flush_pending_cb = nullptr,
      .delete_pending_cb = nullptr,
      .reset_timestamp_cb = nullptr,
      .to_serialized_name = nullptr,
      .from_serialized_name = nullptr,
      .init_shmem_cb = initialize_shared,
      .flush_static_cb = flush,
      .reset_all_cb = reset_all,
      .snapshot_cb = take_snapshot,
      .name = "strata",
  };
  return &info;
}

}  // namespace

ReadStatistics& ReadStatistics::operator+=(const ReadStatistics& other) {
  Numbers sum = numbers_of(*this);
  const Numbers more = numbers_of(other);
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += more[i];
  return *this = std::bit_cast<ReadStatistics>(sum);
}

ReadStatistics operator-(const ReadStatistics& a, const ReadStatistics& b) {
  Numbers rest = numbers_of(a);
  const Numbers less = numbers_of(b);
  for (std::size_t i = 0; i < rest.size(); ++i) rest[i] -= less[i];
  return std::bit_cast<ReadStatistics>(rest);
}

void register_statistics() {
  pgstat_register_kind(kKind, kind_info());
  const auto bytes = [] { return sizeof(LeaderSums) * static_cast<std::size_t>(max_processes()); };
  // Runs after PostgreSQL's own statistics have been set up.
  const auto attach = [](void* memory, bool initialize) {
    leaders = static_cast<LeaderSums*>(memory);
    if (!initialize) return;
    for (int i = 0; i < max_processes(); ++i) {
      for (pg_atomic_uint64& sum : leaders[i].sums) pg_atomic_init_u64(&sum, 0);
    }
    if (IsUnderPostmaster) return;
    read_file();
    on_shmem_exit(write_file, 0);
  };
  register_shared_memory({"strata statistics", bytes, attach});
}

void count_read(KeyKind kind, const ReadStatistics& read) {
  pending[static_cast<std::size_t>(kind)] += read;
  own += read;
  has_pending = true;
  pgstat_report_fixed = true;
}

void count_write(const WriteStatistics& write) {
  SharedStatistics* target = shared();
  LWLockAcquire(&target->lock, LW_EXCLUSIVE);
  WriteStatistics& sum = target->statistics.writes;
  sum.wal_bytes += write.wal_bytes;
  sum.flushes += write.flushes;
  sum.flush_bytes += write.flush_bytes;
  sum.merges += write.merges;
  sum.merge_bytes += write.merge_bytes;
  LWLockRelease(&target->lock);
}

Statistics statistics() {
  pgstat_snapshot_fixed(kKind);
  Statistics result;
  std::memcpy(&result, pgstat_get_custom_snapshot_data(kKind), sizeof(result));
  return result;
}

void reset_statistics() {
  for (ReadStatistics& one : pending) one = ReadStatistics{};
  has_pending = false;
  pgstat_reset_of_kind(kKind);
}

ReadStatistics reads_of_process() {
  Numbers sums;
  for (std::size_t i = 0; i < sums.size(); ++i) sums[i] = pg_atomic_read_u64(&leaders[MyProcNumber].sums[i]);
  ReadStatistics all = own;
  return all += std::bit_cast<ReadStatistics>(sums);
}

void hand_reads_to_leader() {
  const Numbers more = numbers_of(own - handed_on);
  handed_on = own;
  for (std::size_t i = 0; i < more.size(); ++i) {
    pg_atomic_fetch_add_u64(&leaders[ParallelLeaderProcNumber].sums[i], static_cast<int64>(more[i]));
  }
}

}  // namespace strata::pg
