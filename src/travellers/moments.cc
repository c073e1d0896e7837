#include "travellers/moments.h"

extern "C" {
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/pg_lsn.h"
}

#include <cstring>

#include "pg/shared_state.h"
#include "travel/door.h"
#include "travel/resolve.h"
#include "travel/settings.h"

namespace strata::travellers {

namespace {

bool is_lsn(const char* words) {
  const Size high = std::strspn(words, "0123456789abcdefABCDEF");
  if (high == 0 || words[high] != '/') return false;
  const Size low = std::strspn(words + high + 1, "0123456789abcdefABCDEF");
  return low > 0 && words[high + 1 + low] == '\0';
}

}  // namespace

XLogRecPtr moment_at_time(TimestampTz time) {
  pg::require_enabled();
  travel::require_right_to_travel(travel::kTimeSetting);
  return travel::resolve_time(time);
}

XLogRecPtr moment_at_lsn(XLogRecPtr lsn) {
  pg::require_enabled();
  travel::require_right_to_travel(travel::kLsnSetting);
  return travel::resolve_lsn(lsn);
}

XLogRecPtr moment_in_words(const char* words) {
  pg::require_enabled();
  if (is_lsn(words)) return moment_at_lsn(DatumGetLSN(DirectFunctionCall1(pg_lsn_in, CStringGetDatum(words))));
  return moment_at_time(travel::time_in_words(words));
}

}  // namespace strata::travellers
