#include "workers/baseline.h"

extern "C" {
#include "postgres.h"

#include "access/multixact.h"
#include "access/xlog.h"
#include "access/xloginsert.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "postmaster/bgwriter.h"
#include "storage/fd.h"
#include "storage/lwlock.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"
}

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include "ingest/history_ends.h"
#include "ingest/keys.h"
#include "pg/guard.h"
#include "pg/pg_env.h"
#include "pg/shared_state.h"
#include "workers/cluster_files.h"
#include "workers/first_start.h"
#include "workers/process.h"
#include "workers/wal_lag.h"

namespace strata::workers {
namespace {

// A checkpoint older than this costs more in WAL to be read than a new one costs.
constexpr Lsn kMaxWalBeforeStart = Lsn{64} << 20;
// A cluster larger than this is copied at a limited pace, so that its users do not notice.
constexpr std::uint64_t kUnlimitedBytes = std::uint64_t{1} << 30;
constexpr std::uint64_t kBytesPerSecond = std::uint64_t{256} << 20;
constexpr std::size_t kReadBytes = 32 * BLCKSZ;

[[noreturn]] void throw_full_page_writes_off() {
  throw ingest::HistoryEnds("history cannot begin while \"full_page_writes\" is off",
                            "Set \"full_page_writes\" to on and reload the configuration.");
}

// A file that may be gone already. Reads as empty then.
class InputFile {
 public:
  explicit InputFile(const std::string& path) : path_(path) {
    pg::caught([&] { event_ = pg::wait_event(pg::Wait::kBaselineRead); });
    descriptor_ = BasicOpenFile(path.c_str(), O_RDONLY);
    if (descriptor_ < 0 && errno != ENOENT) fail("could not open file");
  }
  ~InputFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  // Returns fewer bytes than asked for at the end of the file only.
  std::size_t read(std::span<std::byte> out) {
    std::size_t done = 0;
    while (descriptor_ >= 0 && done < out.size()) {
      pgstat_report_wait_start(event_);
      const ssize_t got = ::read(descriptor_, out.data() + done, out.size() - done);
      pgstat_report_wait_end();
      if (got == 0) break;
      if (got > 0) {
        done += static_cast<std::size_t>(got);
      } else if (errno != EINTR) {
        fail("could not read file");
      }
    }
    return done;
  }

 private:
  [[noreturn]] void fail(const char* what) const {
    throw StoreError(ErrorKind::kIo,
                     std::string(what) + " \"" + path_ + "\": " + std::generic_category().message(errno));
  }

  std::string path_;
  uint32 event_ = 0;
  int descriptor_ = -1;
};

CheckPoint last_checkpoint() {
  CheckPoint checkpoint;
  pg::caught([&] {
    bool intact = false;
    LWLockAcquire(ControlFileLock, LW_SHARED);
    ControlFileData* control = get_controlfile(DataDir, &intact);
    LWLockRelease(ControlFileLock);
    if (!intact) ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("pg_control is damaged")));
    checkpoint = control->checkPointCopy;
    pfree(control);
  });
  return checkpoint;
}

// A checkpoint from whose redo point on WAL is kept and holds an image of every page that it changes.
CheckPoint find_start(Lsn kept_from) {
  const TimeLineID timeline = GetWALInsertionTimeLine();
  const auto will_do = [&](const CheckPoint& checkpoint) {
    return checkpoint.redo >= kept_from && checkpoint.fullPageWrites && checkpoint.ThisTimeLineID == timeline;
  };
  CheckPoint checkpoint = last_checkpoint();
  if (will_do(checkpoint) && GetXLogInsertRecPtr() - checkpoint.redo <= kMaxWalBeforeStart) return checkpoint;
  pg::caught([] { RequestCheckpoint(CHECKPOINT_FORCE | CHECKPOINT_WAIT | CHECKPOINT_IMMEDIATE); });
  checkpoint = last_checkpoint();
  if (!will_do(checkpoint)) throw_full_page_writes_off();
  return checkpoint;
}

// The end of a record that is written now, flushed: at least all WAL that there was before the call.
Lsn mark_end_in_wal() {
  Lsn end = kInvalidLsn;
  pg::caught([&] {
    const int nothing = 0;
    XLogBeginInsert();
    XLogSetRecordFlags(XLOG_MARK_UNIMPORTANT);
    XLogRegisterData(&nothing, sizeof(nothing));
    end = XLogInsert(RM_XLOG_ID, XLOG_NOOP);
    XLogFlush(end);
  });
  return end;
}

class Copier {
 public:
  Copier(Writer& writer, const CheckPoint& checkpoint) : writer_(writer), checkpoint_(checkpoint) {}

  void copy(const ClusterFiles& files) {
    // In order of kinds, as the store wants it.
    copy_relations(files.relations);
    for (const auto& [key, blocks] : sizes_) add(key, EntryType::kValue, &blocks, sizeof(blocks));
    for (const CommitLogFile& file : files.commit_log) copy_commit_log(file);
    copy_multixacts();
    for (const RelationMapFile& file : files.relation_maps) copy_relation_map(file);
    add(ingest::kCheckpointKey, EntryType::kValue, &checkpoint_, sizeof(checkpoint_));
    const std::uint64_t next_xid = U64FromFullTransactionId(checkpoint_.nextXid);
    add(ingest::kNextXidKey, EntryType::kValue, &next_xid, sizeof(next_xid));
    for (const TablespacePlace& place : files.tablespaces) {
      add(ingest::tablespace_key(place.tablespace), EntryType::kValue, place.path.data(), place.path.size());
    }
  }

 private:
  using Clock = std::chrono::steady_clock;

  void add(const Key& key, EntryType type, const void* value, std::size_t bytes) {
    writer_.add_baseline({.key = key,
                          .lsn = checkpoint_.redo,
                          .type = type,
                          .base = true,
                          .value = {static_cast<const std::byte*>(value), bytes}});
  }

  void copy_relations(const std::vector<RelationFile>& files) {
    for (const RelationFile& file : files) bytes_total_ += file.bytes;
    if (bytes_total_ > kAwaitedBytes) {
      pg_atomic_write_u32(&pg::shared_state->first_history_awaited, 0);
      ConditionVariableBroadcast(&pg::shared_state->progress);
    }
    started_ = Clock::now();
    report_progress();
    for (auto file = files.begin(); file != files.end();) {
      const Key size_key = ingest::size_key(file->locator, file->fork);
      std::uint32_t blocks = 0;
      bool whole = true;
      // A segment counts only behind full ones: truncation leaves empty files behind the last.
      for (; file != files.end() && ingest::size_key(file->locator, file->fork) == size_key; ++file) {
        if (!whole || file->segment != blocks / RELSEG_SIZE) continue;
        blocks += copy_segment(*file);
        whole = blocks % RELSEG_SIZE == 0;
      }
      sizes_.emplace_back(size_key, blocks);
    }
    report_progress();
  }

  std::uint32_t copy_segment(const RelationFile& file) {
    InputFile input(file.path);
    const BlockNumber first = file.segment * RELSEG_SIZE;
    std::uint32_t blocks = 0;
    for (;;) {
      const std::size_t got = input.read(buffer_);
      for (std::size_t at = 0; at + BLCKSZ <= got; at += BLCKSZ, ++blocks) {
        add(ingest::page_key(file.locator, file.fork, first + blocks), EntryType::kImage, buffer_.data() + at, BLCKSZ);
      }
      bytes_done_ += got;
      pace();
      if (got < buffer_.size()) return blocks;
    }
  }

  void copy_commit_log(const CommitLogFile& file) {
    InputFile input(file.path);
    std::uint32_t page = file.first_page;
    for (;;) {
      const std::size_t got = input.read(buffer_);
      for (std::size_t at = 0; at + BLCKSZ <= got; at += BLCKSZ) {
        add(ingest::commit_log_key(page++), EntryType::kImage, buffer_.data() + at, BLCKSZ);
      }
      if (got < buffer_.size()) return;
    }
  }

  void copy_multixacts() {
    MultiXactId oldest = InvalidMultiXactId;
    MultiXactId next = InvalidMultiXactId;
    pg::caught([&] { ReadMultiXactIdRange(&oldest, &next); });
    // Those that are made from the checkpoint on are in WAL.
    next = checkpoint_.nextMulti;
    if (oldest <= next) {
      copy_multixact_range(oldest, next);
    } else if (MultiXactIdPrecedes(oldest, next)) {
      copy_multixact_range(FirstMultiXactId, next);
      copy_multixact_range(oldest, MaxMultiXactId);
      if (oldest <= MaxMultiXactId) copy_multixact(MaxMultiXactId);
    }
    // Reading has pinned the oldest one as a transaction does.
    pg::caught([] { AtEOXact_MultiXact(); });
  }

  void copy_multixact_range(MultiXactId first, MultiXactId end) {
    for (MultiXactId multi = first; multi < end; ++multi) copy_multixact(multi);
  }

  void copy_multixact(MultiXactId multi) {
    handle_interrupts();
    MultiXactMember* members = nullptr;
    int count = 0;
    try {
      pg::caught([&] { count = GetMultiXactIdMembers(multi, &members, false, false); });
    } catch (const pg::PgError&) {
      clean_up_after_error();
      MultiXactId oldest = InvalidMultiXactId;
      MultiXactId next = InvalidMultiXactId;
      pg::caught([&] { ReadMultiXactIdRange(&oldest, &next); });
      // VACUUM has removed it: no row names it any more.
      if (MultiXactIdPrecedes(multi, oldest)) return;
      throw;
    }
    if (count <= 0) return;
    add(ingest::multixact_key(multi), EntryType::kValue, members, static_cast<std::size_t>(count) * sizeof(*members));
    pfree(members);
  }

  void copy_relation_map(const RelationMapFile& file) {
    InputFile input(file.path);
    const std::size_t got = input.read(buffer_);
    if (got == 0) return;
    add(ingest::relation_map_key(file.tablespace, file.database), EntryType::kValue, buffer_.data(), got);
  }

  void pace() {
    handle_interrupts();
    check_history_goes_on();
    lower_priority_unless_awaited();
    if (bytes_done_ - bytes_reported_ >= kReportBytes) report_progress();
    if (bytes_total_ <= kUnlimitedBytes) return;
    const auto due = started_ + std::chrono::milliseconds(bytes_done_ * 1000 / kBytesPerSecond);
    const auto ahead = std::chrono::duration_cast<std::chrono::milliseconds>(due - Clock::now()).count();
    if (ahead > kMinSleep) sleep_for(ahead, pg::Wait::kBaselinePace);
  }

  void report_progress() {
    bytes_reported_ = bytes_done_;
    SpinLockAcquire(&pg::shared_state->mutex);
    pg::shared_state->baseline_blocks_done = bytes_done_ / BLCKSZ;
    pg::shared_state->baseline_blocks_total = std::max(bytes_total_, bytes_done_) / BLCKSZ;
    SpinLockRelease(&pg::shared_state->mutex);
  }

  static constexpr std::uint64_t kReportBytes = std::uint64_t{1} << 20;
  static constexpr long kMinSleep = 10;  // milliseconds

  Writer& writer_;
  const CheckPoint& checkpoint_;
  std::vector<std::byte> buffer_ = std::vector<std::byte>(kReadBytes);
  std::vector<std::pair<Key, std::uint32_t>> sizes_;
  Clock::time_point started_;
  std::uint64_t bytes_total_ = 0;
  std::uint64_t bytes_done_ = 0;
  std::uint64_t bytes_reported_ = 0;
};

}  // namespace

void take_baseline(Writer& writer, Lsn kept_from) {
  if (!fullPageWrites) throw_full_page_writes_off();
  const CheckPoint checkpoint = find_start(kept_from);
  writer.begin_baseline(checkpoint.redo);
  Copier(writer, checkpoint).copy(list_cluster_files());

  // Pages may have been copied with changes up to here, so that no earlier moment is whole. The time is taken after the
  // end: what commits later than it is after the end too.
  const Lsn end = mark_end_in_wal();
  pg::pg_env().reached("baseline-copied");
  writer.finish_baseline({.lsn = end, .time = GetCurrentTimestamp()});
}

}  // namespace strata::workers
