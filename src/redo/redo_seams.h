// The seams of redo: what PostgreSQL's redo routines call to reach buffers, answered for one page.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogreader.h"
#include "storage/relfilelocator.h"
}

namespace strata::redo {

// The page that is being rebuilt. Every other block of a record gets a scratch page.
struct Target {
  RelFileLocator locator = {};
  ForkNumber fork = MAIN_FORKNUM;
  BlockNumber block = InvalidBlockNumber;
  char* page = nullptr;
};

// Takes over the seams, InRecovery and the local buffers of this process until restore_seams(). While they are
// installed an error of any severity is an ERROR, inside a critical section too. `reader` will hold the records.
// REQUIRES: private_buffers.prepare() has run.
void install_seams(const Target& target, const XLogReaderState* reader);
// Puts back everything; releases what redo left pinned. Raises nothing, so that an error handler may call it.
void restore_seams();
// The same after a fault, when what redo has left is not to be trusted, nor used again.
void abandon_seams();

// Whether a block of a decoded record is the target.
bool is_target(const DecodedBkpBlock& block);

}  // namespace strata::redo
