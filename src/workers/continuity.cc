#include "workers/continuity.h"

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xloginsert.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
#include "catalog/pg_control.h"
#include "miscadmin.h"
}

#include <array>
#include <memory>
#include <optional>

#include "pg/guard.h"
#include "pg/lsn_format.h"
#include "workers/process.h"
#include "workers/replication_slot.h"
#include "workers/wal_chunks.h"

namespace strata::workers {
namespace {

constexpr std::size_t kNonceBytes = 16;

struct FreeReader {
  void operator()(XLogReaderState* reader) const { XLogReaderFree(reader); }
};

[[noreturn]] void throw_gone(Lsn lsn, const std::string& reason) {
  throw ingest::HistoryLost("WAL at " + pg::lsn_text(lsn) + " is gone: " + reason);
}

// The record that begins at `begin`; nothing where no intact one does.
// REQUIRES: the record would end at or before the end of the flushed WAL.
std::optional<JoinProof> read_proof(Lsn begin) {
  WalChunks chunks;
  std::optional<JoinProof> proof;
  std::unique_ptr<XLogReaderState, FreeReader> wal;
  pg::caught([&] {
    XLogReaderRoutine routine = {};
    routine.page_read = &WalChunks::read_page;
    routine.segment_open = &wal_segment_open;
    routine.segment_close = &wal_segment_close;
    wal.reset(XLogReaderAllocate(wal_segment_size, nullptr, &routine, &chunks));
    if (wal == nullptr) ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    wal->system_identifier = GetSystemIdentifier();
    XLogBeginRead(wal.get(), begin);
    char* message = nullptr;
    const XLogRecord* record = XLogReadRecord(wal.get(), &message);
    if (record == nullptr) return;
    proof = JoinProof{.begin = wal->ReadRecPtr,
                      .end = wal->EndRecPtr,
                      .previous = record->xl_prev,
                      .crc = record->xl_crc,
                      .timeline = GetWALInsertionTimeLine()};
  });
  return proof;
}

// The same, where the WAL of that LSN may be gone; then `missing` says what is missing.
std::optional<JoinProof> find_proof(Lsn begin, std::string& missing) {
  try {
    return read_proof(begin);
  } catch (const pg::PgError& error) {
    clean_up_after_error();
    if (error.sqlstate() != ERRCODE_UNDEFINED_FILE) throw;
    missing = error.what();
    return std::nullopt;
  }
}

// History can only be ahead where WAL was lost: other records will get the same LSNs.
void check_wal_reaches(Lsn history_end) {
  const Lsn wal_end = GetFlushRecPtr(nullptr);
  if (history_end <= wal_end) return;
  throw ingest::HistoryLost("WAL was lost or reset: history goes up to " + pg::lsn_text(history_end) +
                            ", but WAL ends at " + pg::lsn_text(wal_end));
}

// A store without proofs was made before there were any. The slot lies in the data directory: it has moved along with
// the store only where both are of one life.
void check_slot_stands_at(Lsn flushed) {
  const Lsn kept_from = slot_position();
  if (kept_from == flushed) return;
  throw ingest::HistoryLost("pg_strata and the WAL cannot be told to belong together: history goes up to " +
                            pg::lsn_text(flushed) + ", the replication slot \"strata\" " +
                            (kept_from == kInvalidLsn ? "keeps no WAL" : "stands at " + pg::lsn_text(kept_from)));
}

// Where the slot does not keep the WAL, that may be gone although the proof behind it is there.
void check_wal_from(Lsn flushed) {
  const Lsn kept_from = slot_position();
  if (kept_from != kInvalidLsn && kept_from <= flushed) return;
  XLogSegNo needed = 0;
  XLByteToSeg(flushed, needed, wal_segment_size);
  if (needed <= XLogGetLastRemovedSegno()) throw_gone(flushed, "its segment was removed");
  std::array<char, MAXPGPATH> path{};
  XLogFilePath(path.data(), GetWALInsertionTimeLine(), needed, wal_segment_size);
  if (access(path.data(), F_OK) != 0) throw_gone(flushed, std::string("there is no file \"") + path.data() + "\"");
}

}  // namespace

JoinProof write_proof() {
  Lsn begin = kInvalidLsn;
  pg::caught([&] {
    std::array<char, kNonceBytes> nonce{};
    if (!pg_strong_random(nonce.data(), nonce.size())) {
      ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not generate random values")));
    }
    XLogBeginInsert();
    XLogSetRecordFlags(XLOG_MARK_UNIMPORTANT);
    XLogRegisterData(nonce.data(), nonce.size());
    const XLogRecPtr end = XLogInsert(RM_XLOG_ID, XLOG_NOOP);
    begin = ProcLastRecPtr;
    XLogFlush(end);
  });
  const std::optional<JoinProof> proof = read_proof(begin);
  if (!proof) throw StoreError(ErrorKind::kIo, "could not read WAL at " + pg::lsn_text(begin) + " again");
  return *proof;
}

void check_continuity(const Writer& writer) {
  if (writer.proofs().empty()) {
    check_wal_reaches(writer.flushed_lsn());
    check_slot_stands_at(writer.flushed_lsn());
    return;
  }
  check_wal_reaches(writer.proofs().back().end);
  for (auto proof = writer.proofs().rbegin(); proof != writer.proofs().rend(); ++proof) {
    std::string missing;
    if (find_proof(proof->begin, missing) == *proof) continue;
    // WAL before what is flushed comes to an end somewhere.
    if (!missing.empty() && proof != writer.proofs().rbegin()) break;
    if (!missing.empty()) throw_gone(proof->begin, missing);
    throw ingest::HistoryLost(
        "WAL at " + pg::lsn_text(proof->begin) +
        " is not what history was made of: pg_strata and the data directory are of different lives");
  }
  check_wal_from(writer.flushed_lsn());
}

}  // namespace strata::workers
