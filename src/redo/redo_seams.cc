#include "redo/redo_seams.h"

extern "C" {
#include "seams_includes.h"

#include "access/rmgr.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "seams.h"
}

#include <cstring>

#include "redo/private_buffers.h"
#include "redo/vm_page.h"

namespace strata::redo {

namespace {

// What install_seams() found.
struct Saved {
  StrataSeams seams;
  bool in_recovery = false;
  uint32 crit_sections = 0;
};

Target target;
const XLogReaderState* records;
Saved saved;

bool restores_image(const DecodedBkpBlock& block) { return block.has_image && block.apply_image; }

// Puts the block's full-page image on `page`, as recovery does.
void restore_image(XLogReaderState* record, uint8 block_id, char* page) {
  if (!RestoreBlockImage(record, block_id, page)) elog(ERROR, "%s", record->errormsg_buf);
  // An image of a page that was never initialised stays all zeroes.
  if (!PageIsNew(page)) PageSetLSN(page, record->EndRecPtr);
}

XLogRedoAction read_target(XLogReaderState* record, uint8 block_id, ReadBufferMode mode, bool zero, Buffer* buffer) {
  char* page = target.page;
  if (restores_image(*XLogRecGetBlock(record, block_id))) {
    *buffer = private_buffers.wrap(target.locator, target.fork, target.block, page);
    restore_image(record, block_id, page);
    return BLK_RESTORED;
  }
  if (zero) {
    std::memset(page, 0, BLCKSZ);
    *buffer = private_buffers.wrap(target.locator, target.fork, target.block, page);
    return BLK_NEEDS_REDO;
  }
  if (mode == RBM_NORMAL && PageIsNew(page)) {
    // PostgreSQL logs the first change of any page as an image or with what initialises it; only a visibility map
    // comes into being without WAL. Anything else is a hole in the history.
    if (target.fork != VISIBILITYMAP_FORKNUM) elog(ERROR, "the page's first change is missing from its history");
    *buffer = InvalidBuffer;
    return BLK_NOTFOUND;
  }
  *buffer = private_buffers.wrap(target.locator, target.fork, target.block, page);
  return record->EndRecPtr <= PageGetLSN(page) ? BLK_DONE : BLK_NEEDS_REDO;
}

// A block that is not rebuilt: enough of a page that the routine goes on to the target.
XLogRedoAction read_other(XLogReaderState* record, uint8 block_id, bool zero, Buffer* buffer) {
  const DecodedBkpBlock& block = *XLogRecGetBlock(record, block_id);
  const bool image = restores_image(block);
  *buffer = private_buffers.scratch(block.rlocator, block.forknum, block.blkno, zero || image);
  if (image) {
    restore_image(record, block_id, BufferGetPage(*buffer));
    return BLK_RESTORED;
  }
  if (zero) return BLK_NEEDS_REDO;
  // Splits in GIN insist on the images of their pages, which ingest takes out of the record of any other page. Both
  // answers mean that there is nothing to do; only GiST and hash change a page that was restored.
  return XLogRecGetRmid(record) == RM_GIN_ID ? BLK_RESTORED : BLK_DONE;
}

XLogRedoAction read_extended(XLogReaderState* record, uint8 block_id, ReadBufferMode mode, bool, Buffer* buffer) {
  if (!XLogRecHasBlockRef(record, block_id)) elog(ERROR, "WAL record has no block reference %d", block_id);
  const bool zero = mode == RBM_ZERO_AND_LOCK || mode == RBM_ZERO_AND_CLEANUP_LOCK;
  return is_target(*XLogRecGetBlock(record, block_id)) ? read_target(record, block_id, mode, zero, buffer)
                                                       : read_other(record, block_id, zero, buffer);
}

XLogRedoAction read_normal(XLogReaderState* record, uint8 block_id, Buffer* buffer) {
  return read_extended(record, block_id, RBM_NORMAL, false, buffer);
}

Buffer init_block(XLogReaderState* record, uint8 block_id) {
  Buffer buffer = InvalidBuffer;
  read_extended(record, block_id, RBM_ZERO_AND_LOCK, false, &buffer);
  return buffer;
}

// The visibility map is another page, or the routine already holds the target.
void pin_map(Relation rel, BlockNumber heap_block, Buffer* buffer) {
  if (BufferIsValid(*buffer)) return;
  *buffer = private_buffers.scratch(rel->rd_locator, VISIBILITYMAP_FORKNUM, map_block_of(heap_block), false);
}

bool clear_map(Relation, BlockNumber, Buffer, uint8) { return false; }

void record_free_space(RelFileLocator, BlockNumber, Size) {}

void flush_buffer(Buffer) {}

// PostgreSQL's own redo opens relations for their locators alone.
SMgrRelation open_nothing(RelFileLocator, ProcNumber) {
  if (RmgrIdIsCustom(XLogRecGetRmid(records))) elog(ERROR, "a custom resource manager opens a file to redo a page");
  return nullptr;
}

// A record of an in-place update carries cache invalidations, which were sent when it happened.
void send_no_invalidations(SharedInvalidationMessage*, int, bool, Oid, Oid) {}

int lowered(int level) {
  if (level < ERROR) return level;
  CritSectionCount = 0;
  return ERROR;
}

bool start_error(int level, const char* domain) {
  level = lowered(level);
  return saved.seams.errstart != nullptr ? saved.seams.errstart(level, domain) : strata_real_errstart(level, domain);
}

bool start_error_cold(int level, const char* domain) {
  level = lowered(level);
  return saved.seams.errstart_cold != nullptr ? saved.seams.errstart_cold(level, domain)
                                              : strata_real_errstart_cold(level, domain);
}

}  // namespace

bool is_target(const DecodedBkpBlock& block) {
  return block.blkno == target.block && block.forknum == target.fork &&
         RelFileLocatorEquals(block.rlocator, target.locator);
}

void install_seams(const Target& new_target, const XLogReaderState* reader) {
  target = new_target;
  records = reader;
  saved.seams = strata_seams;
  saved.in_recovery = InRecovery;
  saved.crit_sections = CritSectionCount;

  strata_seams.XLogReadBufferForRedo = read_normal;
  strata_seams.XLogReadBufferForRedoExtended = read_extended;
  strata_seams.XLogInitBufferForRedo = init_block;
  strata_seams.visibilitymap_pin = pin_map;
  strata_seams.visibilitymap_clear = clear_map;
  strata_seams.XLogRecordPageWithFreeSpace = record_free_space;
  strata_seams.FlushOneBuffer = flush_buffer;
  strata_seams.smgropen = open_nothing;
  strata_seams.ProcessCommittedInvalidationMessages = send_no_invalidations;
  strata_seams.errstart = start_error;
  strata_seams.errstart_cold = start_error_cold;
  InRecovery = true;
  private_buffers.install();
}

void restore_seams() {
  private_buffers.restore();
  abandon_seams();
}

void abandon_seams() {
  private_buffers.abandon();
  InRecovery = saved.in_recovery;
  CritSectionCount = saved.crit_sections;
  strata_seams = saved.seams;
}

}  // namespace strata::redo
