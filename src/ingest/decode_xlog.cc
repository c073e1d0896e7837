// Records of the server's own state: checkpoints, parameters, and the two logs about transactions.
#include "ingest/wal_decoder.h"

extern "C" {
#include "access/clog.h"
#include "access/multixact.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "catalog/pg_control.h"
#include "storage/bufpage.h"
}

#include "ingest/hint_images.h"
#include "ingest/keys.h"

namespace strata::ingest {
namespace {

constexpr std::byte kEmptyCommitLogPage[BLCKSZ] = {};

// An image for hint bits is welcome where this many versions have gathered since the last base: what is not merged yet
// has no other bound.
constexpr std::uint32_t kLongChain = 64;

// The special space of the pages whose images may be left out is no larger.
constexpr int kEndBytes = 32;

}  // namespace

void WalDecoder::decode_xlog() {
  switch (info()) {
    case XLOG_CHECKPOINT_SHUTDOWN:
    case XLOG_CHECKPOINT_ONLINE:
      decode_checkpoint();
      return;
    case XLOG_FPI:
      add_blocks();
      return;
    case XLOG_FPI_FOR_HINT:
      // Without full-page writes such a record has no image and changes nothing.
      for (int id = 0; id <= XLogRecMaxBlockId(record_); ++id) {
        if (XLogRecHasBlockRef(record_, id) && XLogRecHasBlockImage(record_, id) && !says_nothing_new(id)) {
          add_block(id);
        }
      }
      return;
    case XLOG_PARAMETER_CHANGE:
    case XLOG_FPW_CHANGE:
      decode_parameters();
      return;
    case XLOG_END_OF_RECOVERY: {
      xl_end_of_recovery recovery;
      std::memcpy(&recovery, data(), sizeof(recovery));
      if (recovery.ThisTimeLineID == identity_.timeline) return;
      throw HistoryLost("the cluster went over to timeline " + std::to_string(recovery.ThisTimeLineID) +
                        ", history is of timeline " + std::to_string(identity_.timeline));
    }
    case XLOG_NOOP:
    case XLOG_NEXTOID:
    case XLOG_SWITCH:
    case XLOG_BACKUP_END:
    case XLOG_RESTORE_POINT:
    case XLOG_OVERWRITE_CONTRECORD:
    case XLOG_CHECKPOINT_REDO:
      return;
    default:
      throw_unknown_record();
  }
}

const char* WalDecoder::restore_ends_of_image(int block_id) {
  const DecodedBkpBlock& block = record_->record->blocks[block_id];
  const int behind_hole = BLCKSZ - block.hole_offset - block.hole_length;
  const bool has_ends =
      block.hole_length == 0 || (block.hole_offset >= SizeOfPageHeaderData && behind_hole >= kEndBytes);
  if (BKPIMAGE_COMPRESSED(block.bimg_info) || !has_ends) return restore_image(block_id);
  char* page = reinterpret_cast<char*>(batch_.allocate(BLCKSZ).data());
  std::memcpy(page, block.bkp_image, SizeOfPageHeaderData);
  std::memcpy(page + BLCKSZ - kEndBytes, block.bkp_image + block.bimg_len - kEndBytes, kEndBytes);
  return page;
}

// Whether the page before an image for hint bits is the page after it, for all that a query can see.
bool WalDecoder::says_nothing_new(int block_id) {
  // Up to the horizon only images make pages of the baseline whole.
  if (record_->ReadRecPtr < horizon_.lsn) return false;
  const DecodedBkpBlock& block = record_->record->blocks[block_id];
  if (block.forknum != MAIN_FORKNUM) return false;
  const ForkSize size = sizes_.get(size_key(block.rlocator, block.forknum));
  if (!size || block.blkno >= *size) return false;
  if (chain_lengths_.of(page_key(block.rlocator, block.forknum, block.blkno)) >= kLongChain) return false;
  return manager_of_hints(restore_ends_of_image(block_id)).has_value();
}

void WalDecoder::decode_checkpoint() {
  CheckPoint checkpoint;
  std::memcpy(&checkpoint, data(), sizeof(checkpoint));
  if (checkpoint.ThisTimeLineID != identity_.timeline) {
    throw HistoryLost("the cluster went over to timeline " + std::to_string(checkpoint.ThisTimeLineID) +
                      ", history is of timeline " + std::to_string(identity_.timeline));
  }
  const std::uint64_t next_xid = U64FromFullTransactionId(checkpoint.nextXid);
  // Nothing runs at a shutdown: its counter is exact. An online checkpoint's is a minimum.
  if (info() == XLOG_CHECKPOINT_SHUTDOWN || next_xid > next_xid_) next_xid_ = next_xid;
  batch_.add_value(kCheckpointKey, &checkpoint, sizeof(checkpoint));
}

void WalDecoder::decode_parameters() {
  if (info() == XLOG_PARAMETER_CHANGE) {
    xl_parameter_change parameters;
    std::memcpy(&parameters, data(), sizeof(parameters));
    if (parameters.wal_level < WAL_LEVEL_REPLICA) {
      throw HistoryLost("the server ran with \"wal_level\" below \"replica\", so that WAL does not hold all changes");
    }
    return;
  }
  bool full_page_writes = false;
  std::memcpy(&full_page_writes, data(), sizeof(full_page_writes));
  // The baseline's pages were copied while they changed: only images in WAL make them whole.
  if (!full_page_writes && record_->ReadRecPtr < horizon_.lsn) {
    throw HistoryLost("\"full_page_writes\" was turned off while the baseline was taken");
  }
}

void WalDecoder::decode_commit_log() {
  switch (info()) {
    case CLOG_ZEROPAGE: {
      std::int64_t page = 0;
      std::memcpy(&page, data(), sizeof(page));
      batch_.add(commit_log_key(static_cast<std::uint32_t>(page)), EntryType::kImage, true, kEmptyCommitLogPage);
      return;
    }
    case CLOG_TRUNCATE:
      // Older moments still need what is removed.
      return;
    default:
      throw_unknown_record();
  }
}

void WalDecoder::decode_multixact() {
  switch (info()) {
    case XLOG_MULTIXACT_CREATE_ID: {
      const auto* created = reinterpret_cast<const xl_multixact_create*>(data());
      static_assert(sizeof(MultiXactMember) == 2 * sizeof(std::uint32_t));
      const auto count = static_cast<std::size_t>(created->nmembers);
      batch_.add_value(multixact_key(created->mid), created->members, count * sizeof(MultiXactMember));
      for (std::size_t i = 0; i < count; ++i) advance_next_xid(created->members[i].xid);
      return;
    }
    case XLOG_MULTIXACT_ZERO_OFF_PAGE:
    case XLOG_MULTIXACT_ZERO_MEM_PAGE:
    case XLOG_MULTIXACT_TRUNCATE_ID:
      return;
    default:
      throw_unknown_record();
  }
}

}  // namespace strata::ingest
