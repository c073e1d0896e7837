#include "workers/setting_units.h"

extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "nodes/miscnodes.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"
}

#include <cctype>
#include <cstdlib>
#include <cstring>

namespace strata::workers {

namespace {

constexpr const char* kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

// Whether letters follow the number that the text begins with.
bool has_unit(const char* text) {
  char* end = nullptr;
  std::strtod(text, &end);
  return std::strpbrk(end, kLetters) != nullptr;
}

// The two values that need no unit.
bool is_zero_or_minus_one(const char* text, std::int64_t* number) {
  int value = 0;
  if (has_unit(text) || !parse_int(text, &value, 0, nullptr) || (value != 0 && value != -1)) return false;
  if (text[std::strspn(text, "-01 ")] != '\0') return false;
  *number = value;
  return true;
}

// "6m" is six minutes to an interval, and six months to whoever wrote it.
bool has_unit_m(const char* text) {
  if (std::toupper(static_cast<unsigned char>(text[std::strspn(text, " ")])) == 'P') return false;
  for (const char* word = std::strpbrk(text, kLetters); word != nullptr;) {
    const std::size_t length = std::strspn(word, kLetters);
    if (length == 1 && std::toupper(static_cast<unsigned char>(*word)) == 'M') return true;
    word = std::strpbrk(word + length, kLetters);
  }
  return false;
}

bool interval_of(const char* text, std::int64_t* microseconds) {
  ErrorSaveContext errors = {};
  errors.type = T_ErrorSaveContext;
  Datum result = 0;
  if (!DirectInputFunctionCallSafe(interval_in, const_cast<char*>(text), InvalidOid, -1,
                                   reinterpret_cast<fmNodePtr>(&errors), &result)) {
    return false;
  }
  const Interval* interval = DatumGetIntervalP(result);
  if (INTERVAL_NOT_FINITE(interval)) return false;
  const std::int64_t days = interval->day + std::int64_t{interval->month} * DAYS_PER_MONTH;
  *microseconds = interval->time + days * USECS_PER_DAY;
  return true;
}

}  // namespace

bool parse_duration(const char* text, std::int64_t* microseconds) {
  if (is_zero_or_minus_one(text, microseconds)) return true;
  int seconds = 0;
  if (has_unit(text) && !has_unit_m(text)) {
    if (parse_int(text, &seconds, GUC_UNIT_S, nullptr) && seconds > 0) {
      *microseconds = seconds * USECS_PER_SEC;
      return true;
    }
    if (interval_of(text, microseconds) && *microseconds > 0) return true;
  }
  GUC_check_errhint("A time needs a unit (\"7d\", \"36h\", \"90min\") or is an interval (\"7 days\", \"6 months\").");
  return false;
}

bool parse_size(const char* text, std::int64_t* megabytes) {
  int value = 0;
  if (is_zero_or_minus_one(text, megabytes)) return true;
  if (has_unit(text) && parse_int(text, &value, GUC_UNIT_MB, nullptr) && value > 0) {
    *megabytes = value;
    return true;
  }
  GUC_check_errhint("A size needs a unit (\"500MB\", \"100GB\", \"4TB\"), and is 1MB at least.");
  return false;
}

}  // namespace strata::workers
