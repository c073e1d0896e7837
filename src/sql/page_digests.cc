// strata.relation_digest(), strata.page_digests(), strata.file_digest(): what a relation holds, in a form that two
// servers can compare.
//
// Relations are read as any query reads them, through shared buffers, so in a travelling session they show what queries
// of the past are given. They need no history and work where strata is off, too.
extern "C" {
#include "postgres.h"

#include "access/relation.h"
#include "access/xlog_internal.h"
#include "catalog/pg_class.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "storage/smgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"
}

#include <cstring>
#include <initializer_list>

#include "sql/digest_text.h"
#include "sql/page_compare.h"
#include "sql/row.h"
#include "travel/history.h"
#include "travel/session.h"

namespace strata::sql {

namespace {

struct Source {
  Relation rel;            // null for a file of any database
  RelFileLocator locator;  // of the file
  RmgrId rmgr;
  BufferAccessStrategy ring;  // reading a large table must not empty shared buffers
  char* copy;
};

Source open_source(RmgrId rmgr) {
  Source source = {};
  source.rmgr = rmgr;
  source.ring = GetAccessStrategy(BAS_BULKREAD);
  source.copy = static_cast<char*>(palloc_aligned(BLCKSZ, PG_IO_ALIGN_SIZE, 0));
  return source;
}

Source open_relation(Oid relation) {
  Relation rel = relation_open(relation, AccessShareLock);
  Source source = open_source(mask_of(rel));
  source.rel = rel;
  return source;
}

void close_source(Source& source) {
  FreeAccessStrategy(source.ring);
  pfree(source.copy);
  if (source.rel != nullptr) relation_close(source.rel, AccessShareLock);
}

bool has_logged_pages(const Source& source) {
  return RELKIND_HAS_STORAGE(source.rel->rd_rel->relkind) && source.rel->rd_rel->relpersistence != RELPERSISTENCE_TEMP;
}

// Of an unlogged relation only the init fork is in WAL.
bool is_kept(const Source& source, ForkNumber fork) {
  const bool unlogged = source.rel->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED;
  if (unlogged) return fork == INIT_FORKNUM;
  return fork == MAIN_FORKNUM || fork == VISIBILITYMAP_FORKNUM;
}

// What the buffer manager reads without a relation is the present's.
bool reads_history(const Source& source) { return source.rel == nullptr && travel::travelling(); }

// A copy of a block as a query of this session sees it.
void copy_block(Source& source, ForkNumber fork, BlockNumber block) {
  if (reads_history(source)) {
    travel::read_pages_at(source.locator, fork, block, 1, travel::current_moment().lsn, &source.copy);
    return;
  }
  const Buffer buffer = source.rel != nullptr ? ReadBufferExtended(source.rel, fork, block, RBM_NORMAL, source.ring)
                                              : ReadBufferWithoutRelcache(source.locator, fork, block, RBM_NORMAL,
                                                                          source.ring, fork != INIT_FORKNUM);
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  std::memcpy(source.copy, BufferGetPage(buffer), BLCKSZ);
  UnlockReleaseBuffer(buffer);
}

// Blocks of a fork, InvalidBlockNumber where there is no such fork.
BlockNumber blocks_of(const Source& source, ForkNumber fork) {
  if (reads_history(source)) return travel::nblocks_at(source.locator, fork, travel::current_moment().lsn);
  SMgrRelation smgr =
      source.rel != nullptr ? RelationGetSmgr(source.rel) : smgropen(source.locator, INVALID_PROC_NUMBER);
  if (!smgrexists(smgr, fork)) return InvalidBlockNumber;
  return source.rel != nullptr ? RelationGetNumberOfBlocksInFork(source.rel, fork) : smgrnblocks(smgr, fork);
}

// Digests the block on top of `seed`. PD_ALL_VISIBLE counts though the mask hides it: a heap scan believes it.
uint64 digest_block(Source& source, ForkNumber fork, BlockNumber block, uint64 seed) {
  CHECK_FOR_INTERRUPTS();
  copy_block(source, fork, block);
  const bool all_visible = source.rmgr == RM_HEAP_ID && fork == MAIN_FORKNUM && PageIsAllVisible(source.copy);
  mask_page(source.rmgr, fork, block, source.copy);
  return hash_bytes_extended(reinterpret_cast<unsigned char*>(source.copy), BLCKSZ, seed + (all_visible ? 1 : 0));
}

// The digest of the first blocks of a fork.
uint64 digest_fork(Source& source, ForkNumber fork, BlockNumber blocks) {
  uint64 digest = 0;
  for (BlockNumber block = 0; block < blocks; ++block) digest = digest_block(source, fork, block, digest);
  return digest;
}

RmgrId manager_named(const char* name) {
  for (int rmid = 0; rmid <= RM_MAX_ID; ++rmid) {
    const auto id = static_cast<RmgrId>(rmid);
    if (RmgrIdExists(id) && strcmp(GetRmgr(id).rm_name, name) == 0) return id;
  }
  ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no resource manager \"%s\"", name)));
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_relation_digest);
Datum strata_relation_digest(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  Source source = open_relation(PG_GETARG_OID(0));
  for (const ForkNumber fork : {MAIN_FORKNUM, VISIBILITYMAP_FORKNUM, INIT_FORKNUM}) {
    if (!has_logged_pages(source) || !is_kept(source, fork)) continue;
    const BlockNumber blocks = blocks_of(source, fork);
    if (blocks == InvalidBlockNumber) continue;
    Datum values[3] = {CStringGetTextDatum(forkNames[fork]), Int64GetDatum(blocks),
                       digest_text(digest_fork(source, fork, blocks))};
    bool nulls[3] = {};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
  close_source(source);
  return Datum{0};
}

PG_FUNCTION_INFO_V1(strata_page_digests);
Datum strata_page_digests(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  const ForkNumber fork = forkname_to_number(text_to_cstring(PG_GETARG_TEXT_PP(1)));
  Source source = open_relation(PG_GETARG_OID(0));
  if (!has_logged_pages(source) || !is_kept(source, fork)) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("fork \"%s\" of relation \"%s\" is not kept in WAL",
                                                              forkNames[fork], RelationGetRelationName(source.rel))));
  }
  const BlockNumber blocks = blocks_of(source, fork);
  for (BlockNumber block = 0; blocks != InvalidBlockNumber && block < blocks; ++block) {
    const uint64 digest = digest_block(source, fork, block, 0);
    Datum values[3] = {Int64GetDatum(block), digest_text(digest),
                       PointerGetDatum(cstring_to_text_with_len(source.copy, BLCKSZ))};
    bool nulls[3] = {};
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
  close_source(source);
  return Datum{0};
}

PG_FUNCTION_INFO_V1(strata_file_digest);
Datum strata_file_digest(PG_FUNCTION_ARGS) {
  const RelFileLocator locator = {PG_GETARG_OID(0), PG_GETARG_OID(1), PG_GETARG_OID(2)};
  const ForkNumber fork = forkname_to_number(text_to_cstring(PG_GETARG_TEXT_PP(3)));
  const RmgrId rmgr = manager_named(text_to_cstring(PG_GETARG_TEXT_PP(4)));
  Source source = open_source(rmgr);
  source.locator = locator;
  const BlockNumber blocks = blocks_of(source, fork);
  Datum values[2] = {};
  bool nulls[2] = {true, true};
  if (blocks != InvalidBlockNumber) {
    values[0] = Int64GetDatum(blocks);
    values[1] = digest_text(digest_fork(source, fork, blocks));
    nulls[0] = nulls[1] = false;
  }
  close_source(source);
  PG_RETURN_DATUM(row(fcinfo, values, nulls));
}

}  // extern "C"

}  // namespace strata::sql
