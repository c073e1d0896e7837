// Reads the flushed WAL and puts what it changes into the store.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogreader.h"
}

#include <functional>
#include <memory>
#include <span>

#include "ingest/wal_decoder.h"
#include "redo/redo_rebuilder.h"
#include "store/store.h"
#include "workers/time_slices.h"
#include "workers/wal_chunks.h"

namespace strata::workers {

class WalReader {
 public:
  // REQUIRES: the slot is taken; the store has a baseline.
  WalReader(Writer& writer, Reader& reader);

  // Ingests until the server ends the process. Transient errors of the store's disk are waited out.
  // Throws ingest::HistoryEnds, HistoryLost, StoreError or pg::PgError where history cannot go on.
  void run();

 private:
  struct FreeReader {
    void operator()(XLogReaderState* reader) const { XLogReaderFree(reader); }
  };

  // False at the end of the flushed WAL.
  bool read_record();
  void ingest_record();
  void publish();
  void look_at_clock();
  // Of one page of that kind that readers would have to go a long way for. False: there is none. An error with it does
  // not stop history.
  bool shorten_chain(KeyKind kind);
  // After a backlog, a long one where it is not that of the start: what is left in WAL is read a second time by whoever
  // wants it, and keeps WAL; and pages had no images put into their chains.
  void flush_what_is_in_wal();
  // Takes over what the workers beside have done.
  void serve();
  void let_go_of_flushed_wal();
  // Tells the statistics what has been ingested and written since it last did.
  void count();
  // Calls f again for as long as it fails with a transient error.
  void persist(const std::function<void()>& f);

  Writer& writer_;
  Reader& reader_;
  redo::RedoRebuilder rebuilder_;
  ingest::WalDecoder decoder_;
  WalChunks chunks_;
  std::unique_ptr<XLogReaderState, FreeReader> wal_;
  Lsn position_;              // where the next record begins
  Lsn published_;             // up to where sessions see
  Lsn kept_from_;             // what the slot was last set to
  Lsn in_wal_ = kInvalidLsn;  // up to where versions may have been left in WAL
  Lsn counted_;               // up to where the statistics know
  WriteCounters counted_writes_;
  TimeSlices time_slices_;
  int unpublished_records_ = 0;
  int failed_reads_ = 0;
  std::int64_t told_of_clock_ = 0;  // the timestamp that was later than the clock
  bool has_caught_up_ = false;      // once since the start
};

}  // namespace strata::workers
