// The one exception of the store. Nothing in src/store throws anything else but std::bad_alloc.
#pragma once

#include <stdexcept>
#include <string>

namespace strata {

enum class ErrorKind {
  kIo,        // the operating system refused; the message holds path and reason
  kNoSpace,   // the disk is full
  kCorrupt,   // a checksum, a magic or an invariant does not hold; the message names the file and offset
  kVersion,   // a format version that this program does not read
  kNotFound,  // what was asked for is not in the store
  kInvalid,   // the caller broke a REQUIRES
};

class StoreError : public std::runtime_error {
 public:
  StoreError(ErrorKind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  [[nodiscard]] ErrorKind kind() const { return kind_; }

 private:
  ErrorKind kind_;
};

}  // namespace strata
