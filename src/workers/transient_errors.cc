#include "workers/transient_errors.h"

extern "C" {
#include "utils/timestamp.h"
}

#include "pg/shared_state.h"

namespace strata::workers {
namespace {

constexpr int kMillisecondsBetweenWarnings = 60 * 1000;

TimestampTz last_warning = 0;

}  // namespace

bool is_transient(const StoreError& error) {
  return error.kind() == ErrorKind::kIo || error.kind() == ErrorKind::kNoSpace;
}

bool is_transient(const pg::PgError& error) {
  switch (error.sqlstate()) {
    case ERRCODE_IO_ERROR:
    case ERRCODE_DISK_FULL:
    case ERRCODE_OUT_OF_MEMORY:
    case ERRCODE_INSUFFICIENT_RESOURCES:
    case ERRCODE_OBJECT_IN_USE:
      return true;
    default:
      return false;
  }
}

void report_transient_error(const std::string& error) {
  pg::report_history_error(pg::history_state(), error.c_str(), "History goes on by itself when the cause is gone.");
  const TimestampTz now = GetCurrentTimestamp();
  if (!TimestampDifferenceExceeds(last_warning, now, kMillisecondsBetweenWarnings)) return;
  last_warning = now;
  ereport(WARNING, (errmsg("strata: history is held up: %s", error.c_str()),
                    errhint("It goes on by itself when the cause is gone; WAL is kept until then.")));
}

void report_recovery() {
  pg::report_history_error(pg::history_state(), "", "");
  last_warning = 0;
  ereport(LOG, (errmsg("strata: history goes on")));
}

}  // namespace strata::workers
