// Values that the memtable leaves in WAL and only refers to (Entry::in_wal).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "store/entry.h"

namespace strata {

class Env;

// What reads them, where the store's Env has WAL. Files that it has opened stay open as long as it is there. Not
// thread-safe.
class WalValues {
 public:
  virtual ~WalValues() = default;
  // `reference` is what was put for the value. Throws StoreError, also where WAL does not go back so far any more: then
  // layers have the version.
  virtual void read(std::span<const std::byte> reference, std::string& value) = 0;
};

// The same, made when the first value is wanted: nearly always there is none.
class WalValuesOnDemand {
 public:
  explicit WalValuesOnDemand(Env& env) : env_(env) {}
  void read(std::span<const std::byte> reference, std::string& value);
  // The entry with its value. `room` keeps one that came from WAL.
  [[nodiscard]] Entry complete(Entry entry, std::string& room);

 private:
  Env& env_;
  std::unique_ptr<WalValues> values_;
};

}  // namespace strata
