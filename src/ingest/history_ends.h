// Why history cannot go on.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace strata::ingest {

// History cannot go on: what comes next is not known, or not kept. Trying again does not help; a human must act.
class HistoryEnds : public std::runtime_error {
 public:
  HistoryEnds(const std::string& message, std::string hint) : std::runtime_error(message), hint_(std::move(hint)) {}
  [[nodiscard]] const std::string& hint() const { return hint_; }  // may be empty

 private:
  std::string hint_;
};

// What comes next of WAL is not there, is not the WAL that history was made of, or lacks changes: history begins anew
// by itself, with a new baseline.
class HistoryLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

inline constexpr const char* kBeginAnewHint =
    "Execute \"SELECT strata.begin_anew()\" as a superuser to begin a new history.";

}  // namespace strata::ingest
