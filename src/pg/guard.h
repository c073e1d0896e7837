// The border between C++ exceptions and ereport.
//
// Rules: (1) no object with a destructor that matters lives on the stack across a call that may ereport; (2) no C++
// exception leaves a function that PostgreSQL calls. `guarded(f)` runs C++ code that may throw and raises what it threw
// as an ERROR after the handler is left and every object in f is destroyed. Inside f nothing may ereport(ERROR).
// `caught(f)` is the reverse: runs PostgreSQL code that may ereport(ERROR) below C++ frames and throws PgError instead.
#pragma once

extern "C" {
#include "postgres.h"
}

#include <exception>
#include <string>

#include "store/error.h"

namespace strata::pg {

// What a PostgreSQL ERROR became when it was caught below C++ frames.
class PgError : public std::runtime_error {
 public:
  PgError(int sqlstate, const std::string& message) : std::runtime_error(message), sqlstate_(sqlstate) {}
  [[nodiscard]] int sqlstate() const { return sqlstate_; }

 private:
  int sqlstate_;
};

// A C++ error on its way to ereport: trivially destructible, so that longjmp may pass it.
struct CaughtError {
  bool set = false;
  int sqlstate = 0;
  char message[1024] = {};
  char hint[512] = {};
};

void describe_current_exception(CaughtError& error) noexcept;
[[noreturn]] void raise(const CaughtError& error);
[[noreturn]] void throw_current_pg_error(MemoryContext context);

template <typename F>
void guarded(F&& f) {
  CaughtError error;
  try {
    f();
  } catch (...) {
    describe_current_exception(error);
  }
  if (error.set) raise(error);
}

// Where errors went when it was made: they go there again when it is left, by an exception too.
class ErrorTarget {
 public:
  ErrorTarget() : stack_(PG_exception_stack), context_(error_context_stack) {}
  ~ErrorTarget() { restore(); }
  void restore() const {
    PG_exception_stack = stack_;
    error_context_stack = context_;
  }

  ErrorTarget(const ErrorTarget&) = delete;
  ErrorTarget& operator=(const ErrorTarget&) = delete;

 private:
  sigjmp_buf* stack_;
  ErrorContextCallback* context_;
};

template <typename F>
void caught(F&& f) {
  MemoryContext context = CurrentMemoryContext;
  const ErrorTarget outside;
  sigjmp_buf buffer;
  if (sigsetjmp(buffer, 0) == 0) {
    PG_exception_stack = &buffer;
    f();
  } else {
    outside.restore();
    throw_current_pg_error(context);
  }
}

}  // namespace strata::pg
