// For tests: C++ exceptions and ERRORs that cross in src/pg/guard.h.
extern "C" {
#include "seams_includes.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(strata_test_error_target);
}

#include "pg/guard.cc"

namespace {

void raise_error() { ereport(ERROR, (errcode(ERRCODE_DIVISION_BY_ZERO), errmsg("raised"))); }

// Whether an exception that leaves caught() is the one that was thrown in it.
template <class Exception, class F>
bool leaves(F&& f) {
  try {
    strata::pg::caught(f);
  } catch (const Exception&) {
    return true;
  }
  return false;
}

}  // namespace

// Whether errors go where they went before, after an exception and after an ERROR have left caught(), also one in the
// other.
Datum strata_test_error_target(PG_FUNCTION_ARGS) {
  (void)fcinfo;
  const sigjmp_buf* before = PG_exception_stack;
  const ErrorContextCallback* context = error_context_stack;
  bool right = leaves<std::logic_error>([] { throw std::logic_error("thrown"); });
  right = right && PG_exception_stack == before && error_context_stack == context;
  right = right && leaves<strata::pg::PgError>(raise_error);
  right = right && PG_exception_stack == before && error_context_stack == context;
  right = right && leaves<strata::pg::PgError>([] {
            if (leaves<std::logic_error>([] { throw std::logic_error("thrown"); })) raise_error();
          });
  right = right && PG_exception_stack == before && error_context_stack == context;
  PG_RETURN_BOOL(right);
}
