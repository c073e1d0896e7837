// strata.check_wal(): the page images that wal_consistency_checking puts into WAL against the pages rebuilt at their
// LSN.
extern "C" {
#include "postgres.h"

#include "access/bufmask.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogreader.h"
#include "access/xlogutils.h"
#include "catalog/pg_control.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/bufpage.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/tuplestore.h"
}

#include <cstring>

#include "ingest/hint_images.h"
#include "pg/ingest_wait.h"
#include "pg/lsn_format.h"
#include "pg/shared_state.h"
#include "redo/redo.h"
#include "sql/page_compare.h"
#include "sql/prerequisites.h"
#include "travel/history.h"

namespace strata::sql {

namespace {

constexpr int kTypesPerManager = 16;  // a resource manager has the upper four bits of xl_info

// What was seen of one type of record.
struct Tally {
  int64 records;
  int64 blocks;      // block references, but for the free space map's
  int64 compared;    // images that are there only to be compared
  int64 applied;     // images that recovery applies
  int64 redo_calls;  // that rebuilding those pages took
  int64 mismatches;
  char* first_mismatch;
};

struct WalCheck {
  XLogReaderState* reader;
  Tally* tallies;  // by resource manager, then by type
  char* image;
  char* rebuilt[1];
  MemoryContext per_record;
  MemoryContext caller;
};

Tally& tally_of(WalCheck& check, RmgrId rmid, uint8 info) {
  return check.tallies[rmid * kTypesPerManager + (info >> 4)];
}

// Offset of the first byte that differs, -1 where the pages are equal. Masks both.
int difference(WalCheck& check, RmgrId rmid, const RelFileLocator& locator, ForkNumber fork, BlockNumber block) {
  char* pages[2] = {check.image, check.rebuilt[0]};
  if (fork == VISIBILITYMAP_FORKNUM) {
    // Other sessions clear bits before they have logged that they do, so the image may lack some. It has none too many,
    // unless WAL never had them.
    if (travel::copied_through_wal_at(locator.spcOid, locator.dbOid, check.reader->EndRecPtr)) return -1;
    for (int i = MAXALIGN(SizeOfPageHeaderData); i < BLCKSZ; ++i) {
      if ((pages[0][i] & ~pages[1][i]) != 0) return i;
    }
    return -1;
  }
  // History leaves out most images that are there for hint bits.
  const bool for_hints = rmid == RM_XLOG_ID && (XLogRecGetInfo(check.reader) & ~XLR_INFO_MASK) == XLOG_FPI_FOR_HINT;
  if (for_hints) rmid = ingest::manager_of_hints(check.image).value_or(rmid);
  add_marks_of_redo(rmid, pages[0], pages[1]);
  for (char* page : pages) {
    if (GetRmgr(rmid).rm_mask != nullptr) {
      GetRmgr(rmid).rm_mask(page, block);
    } else {
      mask_page_lsn_and_checksum(page);
    }
  }
  for (int i = 0; i < BLCKSZ; ++i) {
    if (pages[0][i] != pages[1][i]) return i;
  }
  return -1;
}

void note_mismatch(WalCheck& check, Tally& tally, const DecodedBkpBlock& block, const char* what) {
  if (tally.mismatches++ > 0) return;
  const RelPathStr path = relpathperm(block.rlocator, block.forknum);
  char text[256];
  snprintf(text, sizeof(text), "record %X/%X, which ends at %X/%X, block %u of %s: %s",
           LSN_FORMAT_ARGS(check.reader->ReadRecPtr), LSN_FORMAT_ARGS(check.reader->EndRecPtr), block.blkno, path.str,
           what);
  tally.first_mismatch = MemoryContextStrdup(check.caller, text);
}

void compare_block(WalCheck& check, Tally& tally, int id) {
  const DecodedBkpBlock& block = check.reader->record->blocks[id];
  const XLogRecPtr at = check.reader->EndRecPtr;
  ++(block.apply_image ? tally.applied : tally.compared);
  if (!RestoreBlockImage(check.reader, static_cast<uint8>(id), check.image)) {
    ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg_internal("%s", check.reader->errormsg_buf)));
  }
  const BlockNumber blocks = travel::nblocks_at(block.rlocator, block.forknum, at);
  if (blocks == InvalidBlockNumber || block.blkno >= blocks) {
    note_mismatch(check, tally, block, "it is not in the history");
    return;
  }
  const uint64 calls = redo::counters.redo_calls;
  travel::read_pages_at(block.rlocator, block.forknum, block.blkno, 1, at, check.rebuilt);
  tally.redo_calls += static_cast<int64>(redo::counters.redo_calls - calls);
  const int offset = difference(check, XLogRecGetRmid(check.reader), block.rlocator, block.forknum, block.blkno);
  if (offset >= 0) note_mismatch(check, tally, block, psprintf("byte %d differs", offset));
}

void check_record(WalCheck& check) {
  const DecodedXLogRecord* record = check.reader->record;
  Tally& tally = tally_of(check, record->header.xl_rmid, record->header.xl_info);
  ++tally.records;
  for (int id = 0; id <= record->max_block_id; ++id) {
    const DecodedBkpBlock& block = record->blocks[id];
    if (!block.in_use || block.forknum == FSM_FORKNUM) continue;
    ++tally.blocks;
    if (block.has_image) compare_block(check, tally, id);
  }
}

XLogReaderState* open_wal(ReadLocalXLogPageNoWaitPrivate* page_reader, XLogRecPtr first) {
  XLogReaderRoutine routine = {};
  routine.page_read = &read_local_xlog_page_no_wait;
  routine.segment_open = &wal_segment_open;
  routine.segment_close = &wal_segment_close;
  XLogReaderState* reader = XLogReaderAllocate(wal_segment_size, nullptr, &routine, page_reader);
  if (reader == nullptr) ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
  if (XLogRecPtrIsInvalid(XLogFindNextRecord(reader, first))) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("could not find a valid record after %X/%X", LSN_FORMAT_ARGS(first))));
  }
  return reader;
}

void check_records(WalCheck& check, XLogRecPtr end) {
  for (;;) {
    CHECK_FOR_INTERRUPTS();
    char* error = nullptr;
    if (XLogReadRecord(check.reader, &error) == nullptr) {
      if (error == nullptr) return;
      ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
                      errmsg("could not read WAL at %X/%X: %s", LSN_FORMAT_ARGS(check.reader->EndRecPtr), error)));
    }
    if (check.reader->EndRecPtr > end) return;
    MemoryContextSwitchTo(check.per_record);
    check_record(check);
    MemoryContextSwitchTo(check.caller);
    MemoryContextReset(check.per_record);
  }
}

void put_row(ReturnSetInfo* result, int rmid, const char* name, const Tally& tally) {
  Datum values[9];
  bool nulls[9] = {};
  values[0] = CStringGetTextDatum(GetRmgr(static_cast<RmgrId>(rmid)).rm_name);
  values[1] = CStringGetTextDatum(name);
  values[2] = Int64GetDatum(tally.records);
  values[3] = Int64GetDatum(tally.blocks);
  values[4] = Int64GetDatum(tally.compared);
  values[5] = Int64GetDatum(tally.applied);
  values[6] = Int64GetDatum(tally.redo_calls);
  values[7] = Int64GetDatum(tally.mismatches);
  nulls[8] = tally.first_mismatch == nullptr;
  if (!nulls[8]) values[8] = CStringGetTextDatum(tally.first_mismatch);
  tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

void add(Tally& sum, const Tally& other) {
  sum.records += other.records;
  sum.blocks += other.blocks;
  sum.compared += other.compared;
  sum.applied += other.applied;
  sum.redo_calls += other.redo_calls;
  sum.mismatches += other.mismatches;
  if (sum.first_mismatch == nullptr) sum.first_mismatch = other.first_mismatch;
}

// One row for each type: those that differ only in flags have one name.
void put_rows(const WalCheck& check, ReturnSetInfo* result) {
  for (int rmid = 0; rmid <= RM_MAX_ID; ++rmid) {
    if (!RmgrIdExists(static_cast<RmgrId>(rmid))) continue;
    const char* names[kTypesPerManager] = {};
    Tally sums[kTypesPerManager] = {};
    int count = 0;
    for (int type = 0; type < kTypesPerManager; ++type) {
      const Tally& tally = check.tallies[rmid * kTypesPerManager + type];
      const char* name = GetRmgr(static_cast<RmgrId>(rmid)).rm_identify(static_cast<uint8>(type << 4));
      if (name == nullptr && tally.records == 0) continue;
      if (name == nullptr) name = psprintf("%X", type << 4);
      int same = 0;
      while (same < count && strcmp(names[same], name) != 0) ++same;
      if (same == count) names[count++] = name;
      add(sums[same], tally);
    }
    for (int i = 0; i < count; ++i) put_row(result, rmid, names[i], sums[i]);
  }
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_check_wal);
Datum strata_check_wal(PG_FUNCTION_ARGS) {
  const Horizon horizon = require_horizon();
  const XLogRecPtr first = PG_GETARG_LSN(0);
  const XLogRecPtr end = require_inserted(PG_GETARG_LSN(1));
  require_present("check WAL");
  if (first < horizon.lsn) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("LSN %X/%X is before the horizon", LSN_FORMAT_ARGS(first))));
  }
  pg::wait_for_visible(end);

  InitMaterializedSRF(fcinfo, 0);
  WalCheck check = {};
  check.caller = CurrentMemoryContext;
  check.per_record = AllocSetContextCreate(CurrentMemoryContext, "strata check_wal", ALLOCSET_DEFAULT_SIZES);
  check.tallies = static_cast<Tally*>(palloc0(sizeof(Tally) * (RM_MAX_ID + 1) * kTypesPerManager));
  auto* pages = static_cast<char*>(palloc_aligned(2 * BLCKSZ, PG_IO_ALIGN_SIZE, 0));
  check.image = pages;
  check.rebuilt[0] = pages + BLCKSZ;
  auto* page_reader = static_cast<ReadLocalXLogPageNoWaitPrivate*>(palloc0(sizeof(ReadLocalXLogPageNoWaitPrivate)));
  check.reader = open_wal(page_reader, first);

  check_records(check, end);
  put_rows(check, reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo));
  XLogReaderFree(check.reader);
  return Datum{0};
}

}  // extern "C"

}  // namespace strata::sql
