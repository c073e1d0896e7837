// strata.rebuild_cost(): what it takes to rebuild one page from its history.
extern "C" {
#include "postgres.h"

#include "access/relation.h"
#include "fmgr.h"
#include "utils/pg_lsn.h"
#include "utils/rel.h"
}

#include <chrono>

#include "pg/guard.h"
#include "pg/shared_state.h"
#include "pg/store_reader.h"
#include "redo/redo.h"
#include "sql/prerequisites.h"
#include "sql/row.h"
#include "travel/history.h"
#include "travel/resolve.h"

namespace strata::sql {

namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

struct Cost {
  double total_us = 0;  // from key to page, as a travelling session reads it
  double redo_us = 0;   // of that, what follows the reading of the versions
  int64 versions = 0;
  int64 redo_calls = 0;
};

// The reading has brought what the page needs into this process, so applying it again measures redo alone.
void measure_redo(const RelFileLocator& locator, BlockNumber block, XLogRecPtr at, char* page, Cost& cost) {
  Reader& reader = pg::store_reader();
  pg::guarded([&] {
    const Key key{KeyKind::kPage, locator.spcOid, locator.dbOid, locator.relNumber, MAIN_FORKNUM, block};
    const Chain chain = reader.chain(key, at);
    if (chain.empty() || !chain.front().base) return;
    const std::uint64_t calls_before = redo::counters.redo_calls;
    const Clock::time_point begin = Clock::now();
    pg::caught([&] { redo::rebuild_page(key, chain, page); });
    cost.redo_us = microseconds_since(begin);
    cost.versions = static_cast<int64>(chain.size());
    cost.redo_calls = static_cast<int64>(redo::counters.redo_calls - calls_before);
  });
}

Cost measure(const RelFileLocator& locator, BlockNumber block, XLogRecPtr at) {
  auto* page = static_cast<char*>(palloc_aligned(BLCKSZ, PG_IO_ALIGN_SIZE, 0));
  Cost cost;
  const Clock::time_point begin = Clock::now();
  travel::read_pages_at(locator, MAIN_FORKNUM, block, 1, at, &page);
  cost.total_us = microseconds_since(begin);
  measure_redo(locator, block, at, page, cost);
  pfree(page);
  return cost;
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_rebuild_cost);
Datum strata_rebuild_cost(PG_FUNCTION_ARGS) {
  const int64 block = PG_GETARG_INT64(1);
  require_horizon();
  require_present("measure");

  // Raises an ERROR where history does not reach.
  const XLogRecPtr at = travel::resolve_lsn(PG_GETARG_LSN(2));
  Relation rel = relation_open(PG_GETARG_OID(0), AccessShareLock);
  const RelFileLocator locator = rel->rd_locator;
  const BlockNumber blocks = travel::nblocks_at(locator, MAIN_FORKNUM, at);
  if (blocks == InvalidBlockNumber || block < 0 || block >= static_cast<int64>(blocks)) {
    ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
                    errmsg("block %lld of relation \"%s\" did not exist at that LSN", static_cast<long long>(block),
                           RelationGetRelationName(rel)),
                    errdetail("The relation had %u blocks then.", blocks == InvalidBlockNumber ? 0 : blocks),
                    errhint("A relation that was rewritten since then has none of its present blocks in the past.")));
  }
  const Cost cost = measure(locator, static_cast<BlockNumber>(block), at);
  relation_close(rel, AccessShareLock);

  const Datum values[4] = {Int64GetDatum(cost.versions), Int64GetDatum(cost.redo_calls), Float8GetDatum(cost.total_us),
                           Float8GetDatum(cost.redo_us)};
  PG_RETURN_DATUM(row(fcinfo, values));
}

}  // extern "C"

}  // namespace strata::sql
