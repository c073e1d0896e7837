// strata.relation_digest(), strata.page_digests(): what a relation holds, in a form that two servers can compare.
//
// They read as any query reads, through the relation and shared buffers, so in a travelling session they show what
// queries of the past are given. They need no history and work where strata is off, too.
extern "C" {
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
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

#include "sql/page_compare.h"

namespace strata::sql {

namespace {

struct Source {
  Relation rel;
  RmgrId rmgr;
  BufferAccessStrategy ring;  // reading a large table must not empty shared buffers
  char* copy;
};

Source open_source(Oid relation) {
  Source source = {};
  source.rel = relation_open(relation, AccessShareLock);
  source.rmgr = mask_of(source.rel);
  source.ring = GetAccessStrategy(BAS_BULKREAD);
  source.copy = static_cast<char*>(palloc_aligned(BLCKSZ, PG_IO_ALIGN_SIZE, 0));
  return source;
}

void close_source(Source& source) {
  FreeAccessStrategy(source.ring);
  pfree(source.copy);
  relation_close(source.rel, AccessShareLock);
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

// Digests the block on top of `seed`. PD_ALL_VISIBLE counts though the mask hides it: a heap scan believes it.
uint64 digest_block(Source& source, ForkNumber fork, BlockNumber block, uint64 seed) {
  CHECK_FOR_INTERRUPTS();
  const Buffer buffer = ReadBufferExtended(source.rel, fork, block, RBM_NORMAL, source.ring);
  LockBuffer(buffer, BUFFER_LOCK_SHARE);
  std::memcpy(source.copy, BufferGetPage(buffer), BLCKSZ);
  UnlockReleaseBuffer(buffer);
  const bool all_visible = source.rmgr == RM_HEAP_ID && fork == MAIN_FORKNUM && PageIsAllVisible(source.copy);
  mask_page(source.rmgr, fork, block, source.copy);
  return hash_bytes_extended(reinterpret_cast<unsigned char*>(source.copy), BLCKSZ, seed + (all_visible ? 1 : 0));
}

Datum digest_text(uint64 digest) {
  return CStringGetTextDatum(psprintf("%016llx", static_cast<unsigned long long>(digest)));
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_relation_digest);
Datum strata_relation_digest(PG_FUNCTION_ARGS) {
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  Source source = open_source(PG_GETARG_OID(0));
  for (const ForkNumber fork : {MAIN_FORKNUM, VISIBILITYMAP_FORKNUM, INIT_FORKNUM}) {
    if (!has_logged_pages(source) || !is_kept(source, fork)) continue;
    if (!smgrexists(RelationGetSmgr(source.rel), fork)) continue;
    const BlockNumber blocks = RelationGetNumberOfBlocksInFork(source.rel, fork);
    uint64 digest = 0;
    for (BlockNumber block = 0; block < blocks; ++block) digest = digest_block(source, fork, block, digest);
    Datum values[3] = {CStringGetTextDatum(forkNames[fork]), Int64GetDatum(blocks), digest_text(digest)};
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
  Source source = open_source(PG_GETARG_OID(0));
  if (!has_logged_pages(source) || !is_kept(source, fork)) {
    ereport(ERROR,
            (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("fork \"%s\" of relation \"%s\" is not kept in WAL",
                                                              forkNames[fork], RelationGetRelationName(source.rel))));
  }
  if (smgrexists(RelationGetSmgr(source.rel), fork)) {
    const BlockNumber blocks = RelationGetNumberOfBlocksInFork(source.rel, fork);
    for (BlockNumber block = 0; block < blocks; ++block) {
      const uint64 digest = digest_block(source, fork, block, 0);
      Datum values[3] = {Int64GetDatum(block), digest_text(digest),
                         PointerGetDatum(cstring_to_text_with_len(source.copy, BLCKSZ))};
      bool nulls[3] = {};
      tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
  }
  close_source(source);
  return Datum{0};
}

}  // extern "C"

}  // namespace strata::sql
