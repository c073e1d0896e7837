// strata.verify(): the check of the whole store, beside a running server.
extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
}

#include <optional>

#include "pg/guard.h"
#include "pg/pg_env.h"
#include "pg/shared_state.h"
#include "sql/prerequisites.h"
#include "store/verify.h"

namespace strata::sql {

namespace {

constexpr int kMillisecondsBetweenNotices = 5000;

void check_for_interrupts() {
  if (InterruptPending) pg::caught([] { CHECK_FOR_INTERRUPTS(); });
}

// What an ERROR may pass over is copied before.
void add_row(ReturnSetInfo* result, const VerifiedFile& file) {
  const char* name = file.name.c_str();
  const char* problem = file.problem.c_str();
  const bool is_layer = file.level >= 0;
  pg::caught([&] {
    Datum values[5];
    bool nulls[5] = {};
    values[0] = CStringGetTextDatum(name);
    values[1] = Int32GetDatum(file.level);
    nulls[1] = !is_layer;
    values[2] = Int64GetDatum(static_cast<int64>(file.entries));
    nulls[2] = !is_layer;
    values[3] = Int64GetDatum(static_cast<int64>(file.bytes));
    values[4] = CStringGetTextDatum(problem);
    nulls[4] = problem[0] == '\0';
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  });
}

class Notices {
 public:
  void tell(const VerifyProgress& progress) {
    const TimestampTz now = GetCurrentTimestamp();
    if (!TimestampDifferenceExceeds(last_, now, kMillisecondsBetweenNotices)) return;
    last_ = now;
    pg::caught([&] {
      ereport(NOTICE, (errmsg("%llu files verified, %llu of about %llu MB",
                              static_cast<unsigned long long>(progress.files_done),
                              static_cast<unsigned long long>(progress.bytes_done >> 20),
                              static_cast<unsigned long long>(progress.bytes_total >> 20))));
    });
  }

 private:
  TimestampTz last_ = GetCurrentTimestamp();
};

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_verify);
Datum strata_verify(PG_FUNCTION_ARGS) {
  require_enabled();
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  pg::guarded([result] {
    Notices notices;
    const Verifier* running = nullptr;
    Verifier verifier(pg::pg_env(), pg::kStoreDirectory, pg::shared_store, [&] {
      check_for_interrupts();
      if (running != nullptr) notices.tell(running->progress());
    });
    running = &verifier;
    while (const std::optional<VerifiedFile> file = verifier.next()) add_row(result, *file);
  });
  return Datum{0};
}

}  // extern "C"

}  // namespace strata::sql
