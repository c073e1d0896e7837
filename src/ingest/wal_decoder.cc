#include "ingest/wal_decoder.h"

extern "C" {
#include "access/rmgr.h"
#include "access/xlog_internal.h"
#include "access/xlogrecord.h"
#include "commands/tablespace.h"
#include "storage/bufpage.h"
}

#include <cstdio>

#include "ingest/keys.h"
#include "ingest/record.h"
#include "pg/lsn_format.h"
#include "pg/wal_images.h"
#include "store/time_marks.h"

namespace strata::ingest {
namespace {

// The redo of these changes a page even when it was just restored from its image, so that the image alone is not the
// page's state after the record.
bool redo_changes_restored_pages(RmgrId rmid) { return rmid == RM_GIST_ID || rmid == RM_HASH_ID; }

}  // namespace

WalDecoder::WalDecoder(Reader& reader, const StoreIdentity& identity, const Horizon& horizon, Lsn start)
    : reader_(reader), identity_(identity), horizon_(horizon), sizes_(reader) {
  const std::optional<Version> next_xid = reader.newest(kNextXidKey, start);
  if (!next_xid || next_xid->value.size() != sizeof(next_xid_)) {
    throw StoreError(ErrorKind::kCorrupt, "the store does not know the next transaction ID");
  }
  std::memcpy(&next_xid_, next_xid->value.data(), sizeof(next_xid_));
  if (const std::optional<TimeMark> newest = newest_mark_by_lsn(reader, start)) {
    has_time_mark_ = true;
    newest_time_ = newest->time;
  }
}

std::span<const Entry> WalDecoder::decode(XLogReaderState* record, Lsn published) {
  for (const ReplacedDatabase& replaced : replaced_databases_) {
    sizes_.forget_database(replaced.tablespace, replaced.database);
  }
  replaced_databases_.clear();
  record_ = record;
  published_ = published;
  must_publish_ = false;
  bare_record_ = {};
  batch_.clear(record->EndRecPtr);
  sizes_.begin(published, record->EndRecPtr);

  const std::uint64_t next_xid = next_xid_;
  const bool has_time_mark = has_time_mark_;
  const std::int64_t newest_time = newest_time_;
  try {
    advance_next_xid(XLogRecGetXid(record_));
    dispatch();
    if (next_xid_ != next_xid) batch_.add_u64(kNextXidKey, next_xid_);
  } catch (...) {
    sizes_.roll_back();
    replaced_databases_.clear();
    next_xid_ = next_xid;
    has_time_mark_ = has_time_mark;
    newest_time_ = newest_time;
    throw;
  }
  return batch_.entries();
}

void WalDecoder::dispatch() {
  switch (XLogRecGetRmid(record_)) {
    case RM_XLOG_ID:
      decode_xlog();
      return;
    case RM_XACT_ID:
      decode_transaction();
      return;
    case RM_SMGR_ID:
      decode_storage();
      return;
    case RM_CLOG_ID:
      decode_commit_log();
      return;
    case RM_DBASE_ID:
      decode_database();
      return;
    case RM_MULTIXACT_ID:
      decode_multixact();
      return;
    case RM_RELMAP_ID:
      decode_relation_map();
      return;
    case RM_HEAP_ID:
      decode_heap();
      return;
    case RM_HEAP2_ID:
      decode_heap2();
      return;
    case RM_BTREE_ID:
    case RM_HASH_ID:
    case RM_GIN_ID:
    case RM_GIST_ID:
    case RM_SEQ_ID:
    case RM_SPGIST_ID:
    case RM_BRIN_ID:
    case RM_GENERIC_ID:
      add_blocks();
      return;
    case RM_TBLSPC_ID:
      decode_tablespace();
      return;
    case RM_STANDBY_ID:
    case RM_COMMIT_TS_ID:
    case RM_REPLORIGIN_ID:
    case RM_LOGICALMSG_ID:
      // No state that a travelling session can see.
      return;
    default:
      break;
  }
  const RmgrId rmid = XLogRecGetRmid(record_);
  if (!RmgrIdIsCustom(rmid) || !RmgrIdExists(rmid)) throw_unknown_record();
  // Only block references are known of an extension's records: this flag says that files change in another way too.
  if ((XLogRecGetInfo(record_) & XLR_SPECIAL_REL_UPDATE) != 0) throw_unknown_record();
  add_blocks();
}

void WalDecoder::add_blocks() {
  for (int id = 0; id <= XLogRecMaxBlockId(record_); ++id) {
    if (record_->record->blocks[id].in_use) add_block(id);
  }
}

void WalDecoder::add_block(int block_id) {
  const DecodedBkpBlock& block = record_->record->blocks[block_id];
  // The free space map is a hint that WAL does not keep right; readers see none.
  if (block.forknum == FSM_FORKNUM) return;
  const Key key = page_key(block.rlocator, block.forknum, block.blkno);

  if (block.apply_image) {
    if (redo_changes_restored_pages(XLogRecGetRmid(record_))) {
      batch_.add(key, EntryType::kRecord, true, serialize_record(*record_->record, block_id, batch_));
    } else if (leave_images_in_wal_) {
      batch_.add_in_wal(key, EntryType::kImage, true,
                        pg::WalImage{.begin = record_->ReadRecPtr,
                                     .bytes = static_cast<std::uint32_t>(record_->EndRecPtr - record_->ReadRecPtr),
                                     .block_id = static_cast<std::uint32_t>(block_id)});
    } else {
      char* page = restore_image(block_id);
      if (!PageIsNew(page)) PageSetLSN(page, record_->EndRecPtr);
      batch_.add(key, EntryType::kImage, true, std::as_bytes(std::span(page, BLCKSZ)));
    }
    chain_lengths_.note(key, true);
  } else {
    if (bare_record_.empty()) bare_record_ = serialize_record(*record_->record, kKeepNoImage, batch_);
    bool base = (block.flags & BKPBLOCK_WILL_INIT) != 0;
    if (!base && block.forknum == VISIBILITYMAP_FORKNUM) {
      // The map grows by pages of zeroes that WAL does not mention.
      const ForkSize size = sizes_.get(size_key(block.rlocator, block.forknum));
      base = !size || block.blkno >= *size;
    }
    batch_.add(key, EntryType::kRecord, base, bare_record_);
    chain_lengths_.note(key, base);
  }
  grow(block.rlocator, block.forknum, block.blkno + 1);
}

char* WalDecoder::restore_image(int block_id) {
  auto* page = reinterpret_cast<char*>(batch_.allocate(BLCKSZ).data());
  if (!RestoreBlockImage(record_, static_cast<uint8>(block_id), page)) {
    throw HistoryEnds("cannot restore a page image of " + describe_record() + ": " + record_->errormsg_buf, "");
  }
  return page;
}

void WalDecoder::grow(const RelFileLocator& locator, ForkNumber fork, BlockNumber blocks) {
  const Key key = size_key(locator, fork);
  const ForkSize size = sizes_.get(key);
  if (size && *size >= blocks) return;
  sizes_.set(key, blocks);
  batch_.add_u32(key, blocks);
}

void WalDecoder::advance_next_xid(TransactionId xid) {
  const auto next = static_cast<TransactionId>(next_xid_);
  if (!TransactionIdIsNormal(xid) || TransactionIdPrecedes(xid, next)) return;
  TransactionIdAdvance(xid);
  std::uint64_t epoch = next_xid_ >> 32;
  if (xid < next) ++epoch;
  next_xid_ = (epoch << 32) | xid;
}

std::uint8_t WalDecoder::info() const { return XLogRecGetInfo(record_) & ~XLR_INFO_MASK; }

std::string WalDecoder::describe_record() const {
  const RmgrId rmid = XLogRecGetRmid(record_);
  std::string name = "resource manager " + std::to_string(rmid);
  if (RmgrIdExists(rmid)) {
    const RmgrData& rmgr = RmgrTable[rmid];
    name = rmgr.rm_name;
    const char* operation = rmgr.rm_identify != nullptr ? rmgr.rm_identify(XLogRecGetInfo(record_)) : nullptr;
    if (operation != nullptr) name = name + "/" + operation;
  }
  char info[32];
  std::snprintf(info, sizeof(info), " (info 0x%02X) at ", XLogRecGetInfo(record_));
  return name + info + pg::lsn_text(record_->ReadRecPtr);
}

void WalDecoder::throw_unknown_record() const {
  throw HistoryEnds("WAL record that cannot be interpreted: " + describe_record(),
                    "If it belongs to an extension, load that extension through shared_preload_libraries.");
}

}  // namespace strata::ingest
