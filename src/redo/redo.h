// Pages and records in, page out: PostgreSQL's own redo routines, applied to one page at a time.
//
// Part of strata.so; may be called in any backend or worker that has run InitPostgres or attached to shared memory as
// a background worker with BGWORKER_SHMEM_ACCESS. Not re-entrant (redo of a page never reads another page).
#pragma once

extern "C" {
#include "postgres.h"

#include "common/relpath.h"
#include "storage/block.h"
#include "storage/relfilelocator.h"
}

#include <cstdint>

#include "store/store.h"

namespace strata::redo {

class GuardedPage;

struct Counters {
  std::uint64_t pages = 0;       // pages rebuilt
  std::uint64_t redo_calls = 0;  // calls of a resource manager's redo routine
};
extern Counters counters;  // of this process, ever rising

// Rebuilds the page `key` (kind kPage) from `chain` (oldest first) into `page`, BLCKSZ bytes, aligned to MAXALIGN.
//
// A chain whose first version is no base starts from a page of zeroes. A version whose LSN is not above the page's LSN
// is skipped as in recovery, which makes a fuzzy base image right. The checksum is not set.
// Redo works on private memory; `page` is written at the end, once, and only with a page whose header is valid.
// Raises an ERROR (ereport, ERRCODE_DATA_CORRUPTED or what redo itself raises) that names the page and the LSN;
// nothing of the process's state is left changed. A fault in redo (containment.h) is a FATAL.
void rebuild_page(const Key& key, const Chain& chain, char* page);

// Applies one more version to a page of `key` that earlier calls have made, beginning with a page of zeroes: the page
// is then what rebuild_page() makes of the chain up to this version, its header not looked at. The same errors.
void apply_to_page(const Key& key, const Version& version, GuardedPage& page);

// Applies `chain` of a kCommitLog key to an 8192-byte page of the commit log. No ERROR but for a broken chain.
void rebuild_commit_log_page(const Key& key, const Chain& chain, char* page);
void apply_to_commit_log_page(const Key& key, const Version& version, char* page);

}  // namespace strata::redo
