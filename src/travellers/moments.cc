#include "travellers/moments.h"

extern "C" {
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
}

#include <cstring>

#include "pg/shared_state.h"
#include "travel/door.h"
#include "travel/resolve.h"
#include "travel/settings.h"

namespace strata::travellers {

namespace {

bool is_interval(const char* words) {
  const Size length = std::strlen(words);
  return words[std::strspn(words, " ")] == '-' || (length > 4 && pg_strcasecmp(words + length - 4, " ago") == 0);
}

TimestampTz time_of(const char* words) {
  const Datum text = CStringGetDatum(words);
  if (!is_interval(words)) {
    return DatumGetTimestampTz(
        DirectFunctionCall3(timestamptz_in, text, ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
  }
  const Datum interval = DirectFunctionCall3(interval_in, text, ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
  return DatumGetTimestampTz(
      DirectFunctionCall2(timestamptz_pl_interval, TimestampTzGetDatum(GetCurrentTimestamp()), interval));
}

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
  return moment_at_time(time_of(words));
}

}  // namespace strata::travellers
