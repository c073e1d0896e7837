// strata.check_pages(): every page of a relation, rebuilt from the store, against the page that PostgreSQL has.
extern "C" {
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_class.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/smgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
}

#include <algorithm>
#include <cstring>

#include "pg/ingest_wait.h"
#include "pg/lsn_format.h"
#include "pg/shared_state.h"
#include "redo/redo.h"
#include "sql/page_compare.h"
#include "sql/prerequisites.h"
#include "sql/row.h"
#include "travel/history.h"

namespace strata::sql {

namespace {

// Blocks that are rebuilt with one reading of the store.
constexpr int kBatch = 16;

struct Findings {
  int64 pages = 0;
  int64 mismatches = 0;
  char first[512] = {};
};

struct Check {
  Relation rel;
  RmgrId rmgr;
  XLogRecPtr at;              // every record that ended by then is in the store
  BufferAccessStrategy ring;  // reading a large table must not empty shared buffers
  char* present;
  char* batch[kBatch];
  char* single[1];  // a page that is rebuilt apart from its batch
  Findings findings;
};

BlockNumber rebuilt_blocks(const Check& check, ForkNumber fork, XLogRecPtr at) {
  const BlockNumber blocks = travel::nblocks_at(check.rel->rd_locator, fork, at);
  return blocks == InvalidBlockNumber ? 0 : blocks;
}

// Copies the present's block; zeroes beyond its end.
void read_present(Check& check, ForkNumber fork, BlockNumber block, BlockNumber blocks) {
  if (block >= blocks) {
    std::memset(check.present, 0, BLCKSZ);
    return;
  }
  const Buffer buffer = ReadBufferExtended(check.rel, fork, block, RBM_NORMAL, check.ring);
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  std::memcpy(check.present, BufferGetPage(buffer), BLCKSZ);
  UnlockReleaseBuffer(buffer);
}

// Rebuilds blocks as of `at`; zeroes beyond the fork's end.
void rebuild(const Check& check, ForkNumber fork, BlockNumber first, int count, BlockNumber blocks, XLogRecPtr at,
             char** pages) {
  const int inside = first >= blocks ? 0 : static_cast<int>(std::min<BlockNumber>(count, blocks - first));
  if (inside > 0) travel::read_pages_at(check.rel->rd_locator, fork, first, inside, at, pages);
  for (int i = inside; i < count; ++i) std::memset(pages[i], 0, BLCKSZ);
}

void note_mismatch(Check& check, ForkNumber fork, BlockNumber block, int offset, XLogRecPtr present_lsn,
                   XLogRecPtr rebuilt_lsn, XLogRecPtr at) {
  Findings& findings = check.findings;
  if (findings.mismatches++ > 0) return;
  snprintf(findings.first, sizeof(findings.first),
           "fork %s, block %u, byte %d: present page LSN %X/%X, page rebuilt at %X/%X LSN %X/%X", forkNames[fork],
           block, offset, LSN_FORMAT_ARGS(present_lsn), LSN_FORMAT_ARGS(at), LSN_FORMAT_ARGS(rebuilt_lsn));
}

void check_block(Check& check, ForkNumber fork, BlockNumber block, char* rebuilt) {
  const XLogRecPtr present_lsn = PageGetLSN(check.present);
  XLogRecPtr at = check.at;
  if (present_lsn > at) {
    // Changed since the check began: its own LSN names the record that the rebuilt page must reach.
    at = present_lsn;
    pg::wait_for_visible(at);
    rebuild(check, fork, block, 1, rebuilt_blocks(check, fork, at), at, check.single);
    rebuilt = check.single[0];
  }
  const XLogRecPtr rebuilt_lsn = PageGetLSN(rebuilt);
  ++check.findings.pages;
  const int offset = first_difference(check.rmgr, fork, block, check.present, rebuilt);
  if (offset >= 0) note_mismatch(check, fork, block, offset, present_lsn, rebuilt_lsn, at);
}

void check_fork(Check& check, ForkNumber fork) {
  // The store first: what the present has beyond it was added later or never reached WAL.
  const BlockNumber rebuilt_end = rebuilt_blocks(check, fork, check.at);
  const BlockNumber present_end =
      smgrexists(RelationGetSmgr(check.rel), fork) ? RelationGetNumberOfBlocksInFork(check.rel, fork) : 0;
  const BlockNumber end = std::max(rebuilt_end, present_end);
  for (BlockNumber first = 0; first < end; first += kBatch) {
    CHECK_FOR_INTERRUPTS();
    const int count = static_cast<int>(std::min<BlockNumber>(kBatch, end - first));
    rebuild(check, fork, first, count, rebuilt_end, check.at, check.batch);
    for (int i = 0; i < count; ++i) {
      read_present(check, fork, first + i, present_end);
      check_block(check, fork, first + i, check.batch[i]);
    }
  }
}

void check_relation(Check& check) {
  const char persistence = check.rel->rd_rel->relpersistence;
  if (!RELKIND_HAS_STORAGE(check.rel->rd_rel->relkind) || persistence == RELPERSISTENCE_TEMP) return;
  if (persistence == RELPERSISTENCE_UNLOGGED) {
    check_fork(check, INIT_FORKNUM);
    return;
  }
  check_fork(check, MAIN_FORKNUM);
  check_fork(check, VISIBILITYMAP_FORKNUM);
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_check_pages);
Datum strata_check_pages(PG_FUNCTION_ARGS) {
  require_horizon();
  require_present("check pages");

  // The lock keeps the relation from being truncated or rewritten; changes of its pages go on.
  Check check = {};
  check.rel = relation_open(PG_GETARG_OID(0), AccessShareLock);
  check.rmgr = mask_of(check.rel);
  check.ring = GetAccessStrategy(BAS_BULKREAD);
  auto* pages = static_cast<char*>(palloc_aligned((kBatch + 2) * BLCKSZ, PG_IO_ALIGN_SIZE, 0));
  for (int i = 0; i < kBatch; ++i) check.batch[i] = pages + i * BLCKSZ;
  check.single[0] = pages + kBatch * BLCKSZ;
  check.present = pages + (kBatch + 1) * BLCKSZ;
  check.at = wal_end();
  pg::wait_for_visible(check.at);

  const uint64 redo_calls_before = redo::counters.redo_calls;
  check_relation(check);

  Datum values[4];
  bool nulls[4] = {};
  values[0] = Int64GetDatum(check.findings.pages);
  values[1] = Int64GetDatum(static_cast<int64>(redo::counters.redo_calls - redo_calls_before));
  values[2] = Int64GetDatum(check.findings.mismatches);
  values[3] = CStringGetTextDatum(check.findings.first);
  nulls[3] = check.findings.mismatches == 0;

  FreeAccessStrategy(check.ring);
  pfree(pages);
  relation_close(check.rel, AccessShareLock);
  PG_RETURN_DATUM(row(fcinfo, values, nulls));
}

}  // extern "C"

}  // namespace strata::sql
