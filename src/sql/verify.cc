// strata.verify(): the check of the whole store, beside a running server.
extern "C" {
#include "postgres.h"

#include "catalog/pg_type_d.h"
#include "common/relpath.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/pg_lsn.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
}

#include <cstring>
#include <optional>
#include <vector>

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

// What has versions: the file of a relation, or the kind of what else it is.
const char* name_of(const Key& key) {
  if (key.kind != KeyKind::kPage) return strata::name_of(key.kind);
  const RelPathStr path = relpathperm((RelFileLocator{key.tablespace, key.database, key.relation}), MAIN_FORKNUM);
  return pstrdup(path.str);
}

// Each of them once. Keys that follow one another may have one name.
std::vector<const char*> names_of(const DamageExtent& extent) {
  std::vector<const char*> names;
  pg::caught([&] {
    for (const Key& key : extent.keys) {
      const char* name = name_of(key);
      if (names.empty() || std::strcmp(names.back(), name) != 0) names.push_back(name);
    }
  });
  return names;
}

Datum array_of(const std::vector<const char*>& names) {
  ArrayBuildState* state = initArrayResult(TEXTOID, CurrentMemoryContext, false);
  for (const char* name : names) {
    state = accumArrayResult(state, CStringGetTextDatum(name), false, TEXTOID, CurrentMemoryContext);
  }
  return makeArrayResult(state, CurrentMemoryContext);
}

// What an ERROR may pass over is copied before.
void add_row(ReturnSetInfo* result, const VerifiedFile& file) {
  const char* name = file.name.c_str();
  const char* problem = file.problem.c_str();
  const bool is_layer = file.level >= 0;
  const bool has_extent = file.damage && !file.damage->lsns.empty();
  const std::vector<const char*> affected = has_extent ? names_of(*file.damage) : std::vector<const char*>();
  pg::caught([&] {
    Datum values[8];
    bool nulls[8] = {};
    values[0] = CStringGetTextDatum(name);
    values[1] = Int32GetDatum(file.level);
    nulls[1] = !is_layer;
    values[2] = Int64GetDatum(static_cast<int64>(file.entries));
    nulls[2] = !is_layer;
    values[3] = Int64GetDatum(static_cast<int64>(file.bytes));
    values[4] = CStringGetTextDatum(problem);
    nulls[4] = problem[0] == '\0';
    values[5] = LSNGetDatum(has_extent ? file.damage->lsns.begin : kInvalidLsn);
    values[6] = LSNGetDatum(has_extent ? file.damage->lsns.end : kInvalidLsn);
    values[7] = array_of(affected);
    nulls[5] = nulls[6] = !has_extent;
    nulls[7] = !has_extent || file.damage->everything;
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
