// Compiled functions. PL/pgSQL, SQL, PL/Python, PL/Perl, PL/Tcl and the list of loaded C functions keep what they have
// made of a function for as long as the session lives, and take it for current while the function's row in pg_proc has
// the same xmin and TID. But what was compiled depends on more than that row: on the types of the columns that it
// names, for example. So each moment shows the rows of pg_proc under an identity of its own.
extern "C" {
#include "seams_includes.h"

#include "access/htup_details.h"
#include "utils/syscache.h"

#include "seams.h"
}

#include "travel/session.h"

namespace strata::travel {

namespace {

// Beyond any line pointer of a page, so that no row of the present has it.
constexpr OffsetNumber kOffsetOfThePast = 0xFFFE;
static_assert(kOffsetOfThePast > MaxOffsetNumber);

// At one moment a function has one row, so the moment's LSN is enough. Nothing that a travelling session may do takes
// these two for more than an identity; the cache forgets the row at the next switch.
HeapTuple search_syscache(int cache, Datum key) {
  HeapTuple tuple = strata_real_SearchSysCache1(cache, key);
  if (cache == PROCOID && HeapTupleIsValid(tuple)) {
    const XLogRecPtr lsn = current_moment().lsn;
    HeapTupleHeaderSetXmin(tuple->t_data, static_cast<TransactionId>(lsn >> 32));
    ItemPointerSet(&tuple->t_self, static_cast<BlockNumber>(lsn), kOffsetOfThePast);
  }
  return tuple;
}

}  // namespace

void install_function_seams(bool travel) { strata_seams.SearchSysCache1 = travel ? search_syscache : nullptr; }

}  // namespace strata::travel
