// Errors of a travelling session. PostgreSQL refuses writes as a hot standby does; here the reason is the travel, and
// the message says so.
extern "C" {
#include "seams_includes.h"

#include "utils/memutils.h"

#include "seams.h"
}

#include <cstring>
#include <string_view>

#include "travel/session.h"
#include "travel/settings.h"

namespace strata::travel {

namespace {

struct Phrase {
  const char* recovery;
  const char* travel;
};

// What PostgreSQL says of recovery, and what is true here.
constexpr Phrase kPhrases[] = {
    {"during recovery", "while travelling in time"},
    {"while recovery is in progress", "while travelling in time"},
    {"recovery is in progress", "the session is travelling in time"},
    {"in a hot standby", "while travelling in time"},
    {"in a read-only transaction", "while travelling in time"},
};

bool may_be_a_refusal(int sqlstate) {
  return sqlstate == ERRCODE_READ_ONLY_SQL_TRANSACTION || sqlstate == ERRCODE_FEATURE_NOT_SUPPORTED ||
         sqlstate == ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE || sqlstate == ERRCODE_INTERNAL_ERROR ||
         sqlstate == ERRCODE_INVALID_PARAMETER_VALUE;
}

void explain_refusal() {
  const ErrorData* error = CopyErrorData();
  if (error->elevel < ERROR) return;
  bool refusal = error->sqlerrcode == ERRCODE_READ_ONLY_SQL_TRANSACTION;
  for (const Phrase& phrase : kPhrases) {
    const char* at = error->message != nullptr ? std::strstr(error->message, phrase.recovery) : nullptr;
    if (at == nullptr) continue;
    errmsg_internal("%.*s%s%s", static_cast<int>(at - error->message), error->message, phrase.travel,
                    at + std::strlen(phrase.recovery));
    refusal = true;
    break;
  }
  if (!refusal) return;
  if (error->sqlerrcode == ERRCODE_INTERNAL_ERROR) errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION);
  explain_travel();
}

void err_finish(const char* file, int line, const char* function) {
  if (may_be_a_refusal(geterrcode()) && CurrentMemoryContext != ErrorContext) {
    explain_refusal();
  }
  strata_real_errfinish(file, line, function);
}

}  // namespace

int explain_travel() {
  if (is_traveller()) return errdetail("The query sees the cluster as of %s.", describe_current_moment());
  errdetail("The session sees the cluster as of %s.", describe_current_moment());
  return errhint("%s", describe_way_back());
}

void install_error_seams(bool travel) { strata_seams.errfinish = travel ? err_finish : nullptr; }

}  // namespace strata::travel
