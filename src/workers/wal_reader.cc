#include "workers/wal_reader.h"

extern "C" {
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogutils.h"
#include "utils/timestamp.h"
}

#include "pg/activity.h"
#include "pg/guard.h"
#include "pg/ingest_wait.h"
#include "pg/lsn_format.h"
#include "pg/shared_state.h"
#include "pg/statistics.h"
#include "pg/wal_end.h"
#include "store/long_chains.h"
#include "workers/process.h"
#include "workers/replication_slot.h"
#include "workers/transient_errors.h"
#include "workers/wal_lag.h"

namespace strata::workers {
namespace {

constexpr int kRecordsPerPublication = 256;
constexpr int kRecordsPerStep = 16;  // some twenty microseconds
// Sessions that wait wake this process; this is for WAL that nobody waits for. Each sleep that ends may interrupt a
// session.
constexpr long kSleepAtEndOfWal = 200;  // milliseconds
constexpr int kMaxFailedReads = 10;
constexpr long kSleepAfterFailedRead = 100;  // milliseconds

// More WAL than this is a backlog. Less takes little of the memtable, images and all.
Lsn backlog_bytes() { return pg::memtable_bytes() / 16; }

XLogReaderState* open_wal(WalChunks* chunks) {
  XLogReaderState* wal = nullptr;
  pg::caught([&] {
    XLogReaderRoutine routine = {};
    routine.page_read = &WalChunks::read_page;
    routine.segment_open = &wal_segment_open;
    routine.segment_close = &wal_segment_close;
    wal = XLogReaderAllocate(wal_segment_size, nullptr, &routine, chunks);
    if (wal == nullptr) ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    wal->system_identifier = GetSystemIdentifier();
  });
  return wal;
}

}  // namespace

WalReader::WalReader(Writer& writer, Reader& reader)
    : writer_(writer),
      reader_(reader),
      decoder_(reader, writer.identity(), writer.horizon(), writer.flushed_lsn()),
      wal_(open_wal(&chunks_)),
      position_(writer.flushed_lsn()),
      published_(writer.flushed_lsn()),
      kept_from_(kInvalidLsn),
      counted_(writer.flushed_lsn()),
      counted_writes_(writer.counters()),
      time_slices_(lateness_of_history) {
  XLogBeginRead(wal_.get(), position_);
}

void WalReader::run() {
  let_go_of_flushed_wal();
  for (;;) {
    handle_interrupts();
    if (read_record()) {
      ingest_record();
      if (unpublished_records_ % kRecordsPerStep == 0) time_slices_.step();
      if (++unpublished_records_ >= kRecordsPerPublication || decoder_.must_publish()) {
        publish();
        serve();
      }
      continue;
    }
    publish();
    serve();
    flush_what_is_in_wal();
    if (shorten_chain(KeyKind::kPage)) continue;
    count();
    pg::report_end_of_wal();
    sleep_for(kSleepAtEndOfWal, pg::Wait::kIngestWal);
  }
}

bool WalReader::read_record() {
  char* message = nullptr;
  XLogRecord* record = nullptr;
  try {
    pg::caught([&] { record = XLogReadRecord(wal_.get(), &message); });
  } catch (const pg::PgError& error) {
    clean_up_after_error();
    XLogBeginRead(wal_.get(), position_);
    if (error.sqlstate() == ERRCODE_UNDEFINED_FILE) {
      throw HistoryLost("WAL at " + pg::lsn_text(position_) + " is gone: " + error.what());
    }
    throw;
  }
  if (record != nullptr) {
    failed_reads_ = 0;
    return true;
  }
  const bool end_of_wal = chunks_.take_end_of_wal();
  const std::string reason = message != nullptr ? message : "no reason given";
  XLogBeginRead(wal_.get(), position_);
  if (end_of_wal) return false;
  if (++failed_reads_ >= kMaxFailedReads) {
    throw ingest::HistoryEnds("could not read WAL at " + pg::lsn_text(position_) + ": " + reason,
                              ingest::kBeginAnewHint);
  }
  sleep_for(kSleepAfterFailedRead, pg::Wait::kIngestWalRetry);
  return false;
}

void WalReader::ingest_record() {
  std::span<const Entry> entries;
  const bool is_backlog = position_ + backlog_bytes() < chunks_.flushed();
  decoder_.leave_images_in_wal(is_backlog);
  try {
    persist([&] { entries = decoder_.decode(wal_.get(), published_); });
  } catch (const ingest::HistoryEnds&) {
    // What came before this record stays reachable.
    publish();
    throw;
  }
  const Lsn end = wal_->EndRecPtr;
  if (is_backlog) in_wal_ = end;
  if (!entries.empty()) persist([&] { writer_.put(entries, end); });
  position_ = end;
  let_go_of_flushed_wal();
}

void WalReader::serve() {
  persist([&] { writer_.serve_flusher(); });
  persist([&] { writer_.serve_compactor(); });
  let_go_of_flushed_wal();
}

// Once for each time that the clock is set back. While it is behind, times say less than WAL does.
void WalReader::look_at_clock() {
  const TimestampTz newest = decoder_.newest_time();
  if (newest <= GetCurrentTimestamp() || newest == told_of_clock_) return;
  told_of_clock_ = newest;
  pg::caught([newest] {
    ereport(
        WARNING,
        (errmsg("strata: the clock of the server has been set back: a transaction ended at %s, which is later than now",
                timestamptz_to_str(newest)),
         errdetail("Until the clock has passed it, times stand for moments before that transaction."),
         errhint("\"strata.travel_lsn\" reaches everything.")));
  });
}

void WalReader::publish() {
  check_history_goes_on();
  look_at_clock();
  unpublished_records_ = 0;
  // Where the next record begins, as sessions see the end of WAL.
  const Lsn end = pg::behind_page_header(position_);
  if (end > published_) {
    writer_.publish(end);
    published_ = end;
    pg::caught([] { pg::wake_waiters(); });
    // Every session needs it at once; pages wait until there is nothing else to do.
    while (shorten_chain(KeyKind::kCommitLog)) {
    }
  }
  const Lsn wanted = pg_atomic_read_u64(&pg::shared_state->flush_wanted);
  const bool flush_is_wanted = writer_.flushed_lsn() < wanted && wanted <= published_;
  if (flush_is_wanted || published_ - writer_.flushed_lsn() > max_unflushed_wal()) {
    persist([&] { writer_.start_flush(); });
    let_go_of_flushed_wal();
  }
}

bool WalReader::shorten_chain(KeyKind kind) {
  try {
    return shorten_long_chain(kind, writer_, reader_, rebuilder_);
  } catch (const StoreError& error) {
    ereport(DEBUG1, (errmsg_internal("strata: a long chain stays as it is: %s", error.what())));
  } catch (const pg::PgError& error) {
    clean_up_after_error();
    ereport(DEBUG1, (errmsg_internal("strata: a long chain stays as it is: %s", error.what())));
  }
  return true;
}

void WalReader::flush_what_is_in_wal() {
  const Lsn enough = has_caught_up_ ? pg::memtable_bytes() : 0;
  has_caught_up_ = true;
  if (in_wal_ <= writer_.flushed_lsn() || in_wal_ - writer_.flushed_lsn() <= enough) return;
  persist([&] { writer_.start_flush(); });
  let_go_of_flushed_wal();
}

void WalReader::count() {
  const WriteCounters& writes = writer_.counters();
  if (published_ == counted_ && writes.merges == counted_writes_.merges) return;
  pg::caught([&] {
    pg::count_write({.wal_bytes = published_ - counted_,
                     .flushes = writes.flushes - counted_writes_.flushes,
                     .flush_bytes = writes.flush_bytes - counted_writes_.flush_bytes,
                     .merges = writes.merges - counted_writes_.merges,
                     .merge_bytes = writes.merge_bytes - counted_writes_.merge_bytes});
  });
  counted_ = published_;
  counted_writes_ = writes;
}

void WalReader::let_go_of_flushed_wal() {
  if (writer_.flushed_lsn() == kept_from_) return;
  count();
  persist([&] { advance_replication_slot(writer_.flushed_lsn()); });
  kept_from_ = writer_.flushed_lsn();
}

void WalReader::persist(const std::function<void()>& f) {
  for (bool failed = false;; failed = true) {
    try {
      f();
      if (failed) report_recovery();
      return;
    } catch (const StoreError& error) {
      if (!is_transient(error)) throw;
      report_transient_error(error.what());
    } catch (const pg::PgError& error) {
      clean_up_after_error();
      if (!is_transient(error)) throw;
      report_transient_error(error.what());
    }
    check_history_goes_on();
    sleep_for(kSleepAfterError, pg::Wait::kIngestRetry);
  }
}

}  // namespace strata::workers
