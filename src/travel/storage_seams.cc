// Storage of a travelling session: relations are opened under virtual locators, and their blocks come from the store.
extern "C" {
#include "seams_includes.h"

#include "miscadmin.h"
#include "storage/aio.h"
#include "utils/rel.h"

#include "seams.h"
}

#include "pg/lsn_format.h"
#include "travel/history.h"
#include "travel/session.h"

namespace strata::travel {

namespace {

// Stands for a file in an AIO handle whose pages are already there.
constexpr int kNoFile = -0x57A7;

// In any process: the page has no file. What the file system says of the tablespace decides, because a relation of the
// present may lie in one with such a number, and its writes must never be discarded.
bool is_virtual(SMgrRelation relation) { return is_virtual_tablespace(relation->smgr_rlocator.locator.spcOid); }

// The real locator of a virtual one, and the LSN.
RelFileLocator real_locator(SMgrRelation relation, XLogRecPtr* at) {
  RelFileLocator locator = relation->smgr_rlocator.locator;
  resolve_virtual_tablespace(locator.spcOid, at, &locator.spcOid, &locator.dbOid);
  return locator;
}

SMgrRelation smgr_open(RelFileLocator locator, ProcNumber backend) {
  if (backend == INVALID_PROC_NUMBER && !holds_virtual_tablespace(locator.spcOid)) {
    locator.spcOid = acquire_virtual_tablespace(current_moment().lsn, locator.spcOid, locator.dbOid);
    locator.dbOid = InvalidOid;
  }
  return strata_real_smgropen(locator, backend);
}

[[noreturn]] void raise_present_page() {
  ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
                  errmsg_internal("a travelling session was about to read a page of the present")));
  pg_unreachable();
}

void require_virtual(SMgrRelation relation) {
  if (!holds_virtual_tablespace(relation->smgr_rlocator.locator.spcOid)) raise_present_page();
}

void rebuild(SMgrRelation relation, ForkNumber fork, BlockNumber first, void** buffers, BlockNumber count) {
  XLogRecPtr at = InvalidXLogRecPtr;
  const RelFileLocator locator = real_locator(relation, &at);
  read_pages_at(locator, fork, first, static_cast<int>(count), at, reinterpret_cast<char**>(buffers));
}

bool md_exists(SMgrRelation relation, ForkNumber fork) {
  require_virtual(relation);
  XLogRecPtr at = InvalidXLogRecPtr;
  const RelFileLocator locator = real_locator(relation, &at);
  return nblocks_at(locator, fork, at) != InvalidBlockNumber;
}

BlockNumber md_nblocks(SMgrRelation relation, ForkNumber fork) {
  require_virtual(relation);
  // A virtual locator stands for one moment: its sizes never change.
  if (relation->smgr_cached_nblocks[fork] != InvalidBlockNumber) return relation->smgr_cached_nblocks[fork];
  XLogRecPtr at = InvalidXLogRecPtr;
  const RelFileLocator locator = real_locator(relation, &at);
  const BlockNumber blocks = nblocks_at(locator, fork, at);
  if (blocks == InvalidBlockNumber) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_FILE),
                    errmsg("relation %u/%u/%u has no fork \"%s\" at LSN %X/%X", locator.spcOid, locator.dbOid,
                           locator.relNumber, forkNames[fork], LSN_FORMAT_ARGS(at))));
  }
  return blocks;
}

bool md_prefetch(SMgrRelation relation, ForkNumber, BlockNumber, int) {
  require_virtual(relation);
  return true;
}

void md_readv(SMgrRelation relation, ForkNumber fork, BlockNumber first, void** buffers, BlockNumber count) {
  require_virtual(relation);
  rebuild(relation, fork, first, buffers, count);
}

// The pages are rebuilt here and now; the handle then completes as if a read had filled them.
void md_startreadv(PgAioHandle* handle, SMgrRelation relation, ForkNumber fork, BlockNumber first, void** buffers,
                   BlockNumber count) {
  require_virtual(relation);
  rebuild(relation, fork, first, buffers, count);
  struct iovec* vector = nullptr;
  const int capacity = pgaio_io_get_iovec(handle, &vector);
  Assert(count <= static_cast<BlockNumber>(capacity));
  for (BlockNumber i = 0; i < count && i < static_cast<BlockNumber>(capacity); i++) {
    vector[i].iov_base = buffers[i];
    vector[i].iov_len = BLCKSZ;
  }
  pgaio_io_set_flag(handle, PGAIO_HF_SYNCHRONOUS);
  pgaio_io_set_target_smgr(handle, relation, fork, first, static_cast<int>(count), false);
  pgaio_io_register_callbacks(handle, PGAIO_HCB_MD_READV, 0);
  pgaio_io_start_readv(handle, kNoFile, static_cast<int>(count), static_cast<uint64>(first) * BLCKSZ);
}

// Pages are complete that rebuild() has left in shared buffers a moment ago.
bool rebuilt_pages_complete = false;

void perform_synchronously(PgAioHandle* handle) {
  if (handle->op != PGAIO_OP_READV || handle->op_data.read.fd != kNoFile) {
    strata_real_pgaio_io_perform_synchronously(handle);
    return;
  }
  START_CRIT_SECTION();
  handle->result = static_cast<int32>(handle->op_data.read.iov_length * BLCKSZ);
  rebuilt_pages_complete = true;
  pgaio_io_process_completion(handle, handle->result);
  rebuilt_pages_complete = false;
  END_CRIT_SECTION();
}

// What was rebuilt has no checksum, and was looked at already: its sources were verified, and its header was.
bool page_is_verified(PageData* page, BlockNumber block, int flags, bool* checksum_failure) {
  if (!rebuilt_pages_complete) return strata_real_PageIsVerified(page, block, flags, checksum_failure);
  if (checksum_failure != nullptr) *checksum_failure = false;
  return true;
}

// Historical pages that got a hint bit are evicted like any other page; there is nothing to write.
void md_writev(SMgrRelation relation, ForkNumber fork, BlockNumber first, const void** buffers, BlockNumber count,
               bool skip_fsync) {
  if (!is_virtual(relation)) strata_real_mdwritev(relation, fork, first, buffers, count, skip_fsync);
}

void md_writeback(SMgrRelation relation, ForkNumber fork, BlockNumber first, BlockNumber count) {
  if (!is_virtual(relation)) strata_real_mdwriteback(relation, fork, first, count);
}

void md_registersync(SMgrRelation relation, ForkNumber fork) {
  if (!is_virtual(relation)) strata_real_mdregistersync(relation, fork);
}

// The buffer manager's own calls of smgropen open tags as they are, so that it can write back the present's pages. A
// relation is therefore opened here before the buffer manager may have to.
void open_storage(Relation relation) { RelationGetSmgr(relation); }

PrefetchBufferResult prefetch_buffer(Relation relation, ForkNumber fork, BlockNumber block) {
  open_storage(relation);
  return strata_real_PrefetchBuffer(relation, fork, block);
}

Buffer read_buffer(Relation relation, BlockNumber block) {
  open_storage(relation);
  return strata_real_ReadBuffer(relation, block);
}

Buffer read_buffer_extended(Relation relation, ForkNumber fork, BlockNumber block, ReadBufferMode mode,
                            BufferAccessStrategy strategy) {
  open_storage(relation);
  return strata_real_ReadBufferExtended(relation, fork, block, mode, strategy);
}

// PostgreSQL's own compares the buffer's tag with the relation's real locator, which a historical buffer never has.
Buffer release_and_read_buffer(Buffer buffer, Relation relation, BlockNumber block) {
  open_storage(relation);
  if (BufferIsValid(buffer)) {
    RelFileLocator locator;
    ForkNumber fork = InvalidForkNumber;
    BlockNumber held_block = InvalidBlockNumber;
    BufferGetTag(buffer, &locator, &fork, &held_block);
    if (held_block == block && fork == MAIN_FORKNUM &&
        RelFileLocatorEquals(locator, relation->rd_smgr->smgr_rlocator.locator)) {
      return buffer;
    }
  }
  return strata_real_ReleaseAndReadBuffer(buffer, relation, block);
}

BlockNumber relation_get_number_of_blocks(Relation relation, ForkNumber fork) {
  open_storage(relation);
  return strata_real_RelationGetNumberOfBlocksInFork(relation, fork);
}

// The net under all of the above: no page of the present is found in shared buffers by a travelling session.
int buf_table_lookup(BufferTag* tag, uint32 hash) {
  if (!holds_virtual_tablespace(tag->spcOid)) raise_present_page();
  return strata_real_BufTableLookup(tag, hash);
}

}  // namespace

void install_permanent_storage_seams() {
  strata_seams.mdwritev = md_writev;
  strata_seams.mdwriteback = md_writeback;
  strata_seams.mdregistersync = md_registersync;
}

void install_storage_seams(bool travel) {
  strata_seams.smgropen = travel ? smgr_open : nullptr;
  strata_seams.mdexists = travel ? md_exists : nullptr;
  strata_seams.mdnblocks = travel ? md_nblocks : nullptr;
  strata_seams.mdprefetch = travel ? md_prefetch : nullptr;
  strata_seams.mdreadv = travel ? md_readv : nullptr;
  strata_seams.mdstartreadv = travel ? md_startreadv : nullptr;
  strata_seams.pgaio_io_perform_synchronously = travel ? perform_synchronously : nullptr;
  strata_seams.PrefetchBuffer = travel ? prefetch_buffer : nullptr;
  strata_seams.ReadBuffer = travel ? read_buffer : nullptr;
  strata_seams.ReadBufferExtended = travel ? read_buffer_extended : nullptr;
  strata_seams.ReleaseAndReadBuffer = travel ? release_and_read_buffer : nullptr;
  strata_seams.RelationGetNumberOfBlocksInFork = travel ? relation_get_number_of_blocks : nullptr;
  strata_seams.BufTableLookup = travel ? buf_table_lookup : nullptr;
  strata_seams.PageIsVerified = travel ? page_is_verified : nullptr;
}

}  // namespace strata::travel
