#include "pg/guard.h"

#include <cstdio>
#include <new>

extern "C" {
#include "utils/elog.h"
#include "utils/memutils.h"
}

namespace strata::pg {

namespace {

int sqlstate_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kIo:
      return ERRCODE_IO_ERROR;
    case ErrorKind::kNoSpace:
      return ERRCODE_DISK_FULL;
    case ErrorKind::kCorrupt:
      return ERRCODE_DATA_CORRUPTED;
    case ErrorKind::kVersion:
      return ERRCODE_FEATURE_NOT_SUPPORTED;
    case ErrorKind::kNotFound:
      return ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
    case ErrorKind::kInvalid:
      return ERRCODE_INTERNAL_ERROR;
  }
  return ERRCODE_INTERNAL_ERROR;
}

const char* hint_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kNoSpace:
      return "Free disk space; history goes on by itself.";
    case ErrorKind::kCorrupt:
      return "The present is not affected. Check the disk; the server's log names the file.";
    case ErrorKind::kVersion:
      return "Use the version of strata that wrote this store, or a later one.";
    default:
      return "";
  }
}

void fill(CaughtError& error, int sqlstate, const char* message, const char* hint) {
  error.set = true;
  error.sqlstate = sqlstate;
  std::snprintf(error.message, sizeof(error.message), "%s", message);
  std::snprintf(error.hint, sizeof(error.hint), "%s", hint);
}

}  // namespace

void describe_current_exception(CaughtError& error) noexcept {
  try {
    throw;
  } catch (const StoreError& e) {
    fill(error, sqlstate_of(e.kind()), e.what(), hint_of(e.kind()));
  } catch (const PgError& e) {
    fill(error, e.sqlstate(), e.what(), "");
  } catch (const std::bad_alloc&) {
    fill(error, ERRCODE_OUT_OF_MEMORY, "out of memory", "");
  } catch (const std::exception& e) {
    fill(error, ERRCODE_INTERNAL_ERROR, e.what(), "");
  } catch (...) {
    fill(error, ERRCODE_INTERNAL_ERROR, "unknown C++ exception", "");
  }
}

void raise(const CaughtError& error) {
  ereport(ERROR, (errcode(error.sqlstate), errmsg_internal("%s", error.message),
                  error.hint[0] != '\0' ? errhint("%s", error.hint) : 0));
  pg_unreachable();
}

namespace {

// Null where there is no memory for it: that ERROR must not go past the C++ frames of who has caught the first one.
ErrorData* copy_error() {
  const ErrorTarget outside;
  ErrorData* volatile data = nullptr;
  sigjmp_buf buffer;
  if (sigsetjmp(buffer, 0) == 0) {
    PG_exception_stack = &buffer;
    data = CopyErrorData();
  }
  return data;
}

}  // namespace

void throw_current_pg_error(MemoryContext context) {
  MemoryContextSwitchTo(context);
  ErrorData* data = copy_error();
  FlushErrorState();
  if (data == nullptr) throw std::bad_alloc();
  const int sqlstate = data->sqlerrcode;
  const std::string message = data->message != nullptr ? data->message : "unknown error";
  FreeErrorData(data);
  throw PgError(sqlstate, message);
}

}  // namespace strata::pg
