// The cluster's files as they were at an LSN: which relations exist, how long they are, what their blocks hold.
//
// Every function reads the store of this process, waits for nothing, and raises an ERROR (never a wrong page) where
// the store cannot answer. `at` is inclusive: versions whose record ends at or before it.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/transam.h"
#include "access/xlogdefs.h"
#include "common/relpath.h"
#include "datatype/timestamp.h"
#include "storage/block.h"
#include "storage/relfilelocator.h"
}

#include <vector>

namespace strata::travel {

// The number of blocks of a fork, or InvalidBlockNumber if the fork did not exist. The free space map is not kept and
// never exists.
BlockNumber nblocks_at(const RelFileLocator& locator, ForkNumber fork, XLogRecPtr at);

// Rebuilds blocks first .. first + count - 1 into pages[i], BLCKSZ bytes each, with valid checksums. A block inside the
// fork that was never written is all zeroes, as in a relation that was extended. REQUIRES: the blocks are inside the
// fork at `at`.
void read_pages_at(const RelFileLocator& locator, ForkNumber fork, BlockNumber first, int count, XLogRecPtr at,
                   char** pages);

// When the database came into being, as a copy or empty; InvalidXLogRecPtr where it is older than history.
XLogRecPtr database_created_at(Oid tablespace, Oid database, XLogRecPtr at);

// The first `limit` blocks from `first` on that have changed in (from, to], ascending. Returns how many there are.
int changed_blocks(const RelFileLocator& locator, ForkNumber fork, BlockNumber first, XLogRecPtr from, XLogRecPtr to,
                   BlockNumber* blocks, int limit);

// Calls visit(page, lsn, context) for the block as of `from`, and then for each of its states in (from, to], oldest
// first, with the LSN at which it came about. A block that was not there, or was truncated, is all zeroes. Where the
// database was copied from another one after `from`, its first state is that of the copy. The page is good for the
// call only, and has no valid checksum. `visit` may raise an ERROR, and read history, but not walk.
using PageVisitor = void (*)(char* page, XLogRecPtr lsn, void* context);
void walk_block(const RelFileLocator& locator, ForkNumber fork, BlockNumber block, XLogRecPtr from, XLogRecPtr to,
                PageVisitor visit, void* context);

// Whether a database came into being page by page through WAL (CREATE DATABASE ... STRATEGY wal_log). PostgreSQL then
// logs visibility-map pages without their bits, so that the map of such a database may lack bits after any recovery.
bool copied_through_wal_at(Oid tablespace, Oid database, XLogRecPtr at);

// The bytes of a commit-log page (8192); zeroes where nothing is known.
void read_commit_log_page_at(uint32 pageno, XLogRecPtr at, char* page);

// Calls visit() for each change of a commit-log page in (from, to], newest first: the transactions of this page that
// ended by one record, the status that they got, and the end of that record.
using TransactionEndVisitor = void (*)(uint8 status, const TransactionId* xids, int count, XLogRecPtr lsn,
                                       void* context);
void visit_transaction_ends(uint32 pageno, XLogRecPtr from, XLogRecPtr to, TransactionEndVisitor visit, void* context);
// The lowest commit-log page above or at `first` that changed in (from, to]; false where there is none below `end`.
bool next_changed_commit_log_page(uint32 first, uint32 end, XLogRecPtr from, XLogRecPtr to, uint32* pageno);

// A multixact's members as the store keeps them (key.h), palloc'd. Returns false when it is unknown.
bool read_multixact_at(uint32 multi, XLogRecPtr at, char** members, Size* size);

// Whether a database had its directory in a tablespace: CREATE and DROP DATABASE make and remove it before they commit.
bool database_has_files_at(Oid tablespace, Oid database, XLogRecPtr at);

// The LSNs in (since, until] at which directories of a database were made, copied or removed, in any tablespace.
std::vector<XLogRecPtr> directory_events(Oid database, XLogRecPtr since, XLogRecPtr until);

// A relation map file's bytes into `map` (`size` as PostgreSQL's file). tablespace and database as in key.h.
// Returns false when that database did not exist.
bool read_relation_map_at(Oid tablespace, Oid database, XLogRecPtr at, void* map, Size size);

// Where a tablespace lay, palloc'd; null where history does not know it.
char* tablespace_location_at(Oid tablespace, XLogRecPtr at);

// Bytes of all relations in a tablespace (every one if InvalidOid) that belong to a database (any if InvalidOid).
int64 directory_bytes_at(Oid tablespace, Oid database, XLogRecPtr at);

// The next transaction id as recovery to `at` would leave it.
FullTransactionId next_xid_at(XLogRecPtr at);

}  // namespace strata::travel
