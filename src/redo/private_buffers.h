// A set of local buffers of our own, put in the place of the session's during redo.
//
// Redo routines know pages only as Buffers. A private set makes a Buffer of any memory with any block number, works
// where the session may have no local buffers (parallel workers), and touches no temporary table.
#pragma once

extern "C" {
#include "postgres.h"

#include "storage/buf.h"
#include "storage/buf_internals.h"
#include "utils/resowner.h"
}

#include "redo/guarded_page.h"

namespace strata::redo {

// More than a WAL record has blocks, with room for visibility-map pins.
inline constexpr int kPrivateBuffers = 64;

// One for the process. Everything it holds is allocated once and kept.
class PrivateBuffers {
 public:
  // Allocates what is kept. Raises an ERROR when memory runs out; may be called again.
  void prepare();

  // Puts the set and its resource owner in place of the session's. Between install() and restore() nothing may use the
  // session's local buffers. REQUIRES: prepare().
  void install();
  // Drops every pin that is left and puts back what install() found. Raises nothing.
  void restore();
  // Puts back what install() found and touches nothing else: the set may be damaged, and is not used again.
  void abandon();

  // A pinned buffer over `page` (BLCKSZ bytes, the caller's) that claims to be that block.
  Buffer wrap(const RelFileLocator& locator, ForkNumber fork, BlockNumber block, char* page);
  // A pinned buffer over a page of zeroes. `written`: the redo routine may change the page.
  Buffer scratch(const RelFileLocator& locator, ForkNumber fork, BlockNumber block, bool written);

  // Ends a record: all buffers are free again, pinned or not.
  void recycle();

 private:
  int take(const RelFileLocator& locator, ForkNumber fork, BlockNumber block);

  bool prepared_ = false;
  int used_ = 0;
  ResourceOwner owner_ = nullptr;
  BufferDesc descriptors_[kPrivateBuffers] = {};
  Block blocks_[kPrivateBuffers] = {};
  int32 pins_[kPrivateBuffers] = {};
  GuardedPage scratch_pages_[kPrivateBuffers];
  bool scratch_written_[kPrivateBuffers] = {};

  int session_count_ = 0;
  BufferDesc* session_descriptors_ = nullptr;
  Block* session_blocks_ = nullptr;
  int32* session_pins_ = nullptr;
  ResourceOwner session_owner_ = nullptr;
};

extern PrivateBuffers private_buffers;

}  // namespace strata::redo
