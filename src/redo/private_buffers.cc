#include "redo/private_buffers.h"

extern "C" {
#include "storage/aio.h"
#include "storage/bufmgr.h"
}

#include <cstring>

namespace strata::redo {

PrivateBuffers private_buffers;

void PrivateBuffers::prepare() {
  if (prepared_) return;
  if (owner_ == nullptr) owner_ = ResourceOwnerCreate(nullptr, "strata redo");
  for (int i = 0; i < kPrivateBuffers; ++i) {
    // Local buffers are numbered downwards from -1, and a descriptor's id is one less than its buffer.
    descriptors_[i].buf_id = -i - 2;
    pgaio_wref_clear(&descriptors_[i].io_wref);
  }
  prepared_ = true;
}

void PrivateBuffers::install() {
  session_count_ = NLocBuffer;
  session_descriptors_ = LocalBufferDescriptors;
  session_blocks_ = LocalBufferBlockPointers;
  session_pins_ = LocalRefCount;
  session_owner_ = CurrentResourceOwner;

  NLocBuffer = kPrivateBuffers;
  LocalBufferDescriptors = descriptors_;
  LocalBufferBlockPointers = blocks_;
  LocalRefCount = pins_;
  CurrentResourceOwner = owner_;
  used_ = 0;
}

void PrivateBuffers::restore() {
  recycle();
  abandon();
}

void PrivateBuffers::abandon() {
  NLocBuffer = session_count_;
  LocalBufferDescriptors = session_descriptors_;
  LocalBufferBlockPointers = session_blocks_;
  LocalRefCount = session_pins_;
  CurrentResourceOwner = session_owner_;
}

void PrivateBuffers::recycle() {
  for (int i = 0; i < used_; ++i) {
    if (pins_[i] > 0) {
      // An ERROR left pins: dropping them through the owner keeps the server's own count of local pins right.
      ResourceOwnerReleaseAllOfKind(owner_, &buffer_pin_resowner_desc);
      break;
    }
  }
  used_ = 0;
}

int PrivateBuffers::take(const RelFileLocator& locator, ForkNumber fork, BlockNumber block) {
  if (used_ >= kPrivateBuffers) elog(ERROR, "too many buffers in the redo of one record");
  const int i = used_++;
  InitBufferTag(&descriptors_[i].tag, &locator, fork, block);
  // Dirty from the start, so that no redo counts as a dirtied block in the session's statistics.
  pg_atomic_unlocked_write_u32(&descriptors_[i].state, BM_VALID | BM_TAG_VALID | BM_PERMANENT | BM_DIRTY);
  return i;
}

Buffer PrivateBuffers::wrap(const RelFileLocator& locator, ForkNumber fork, BlockNumber block, char* page) {
  ResourceOwnerEnlarge(owner_);
  const int i = take(locator, fork, block);
  blocks_[i] = page;
  PinLocalBuffer(&descriptors_[i], false);
  return -i - 1;
}

Buffer PrivateBuffers::scratch(const RelFileLocator& locator, ForkNumber fork, BlockNumber block, bool written) {
  ResourceOwnerEnlarge(owner_);
  const int i = take(locator, fork, block);
  char* page = scratch_pages_[i].data();
  if (scratch_written_[i]) std::memset(page, 0, BLCKSZ);
  scratch_written_[i] = written;
  blocks_[i] = page;
  PinLocalBuffer(&descriptors_[i], false);
  return -i - 1;
}

}  // namespace strata::redo
