// The subcommands. Each returns the exit status and throws StoreError.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "store/entry.h"

namespace strata::tool {

enum ExitStatus : int {
  kSound = 0,
  kDamaged = 1,  // a problem was found, or what was to be read is corrupt
  kNotDone = 2,  // wrong usage, not a store, another format version, an I/O error
};

struct DumpOptions {
  std::optional<std::string> layer;  // its file name
  std::optional<KeyKind> kind;
  std::optional<std::uint32_t> tablespace, database, relation, block;
  std::optional<std::uint8_t> fork;
  Lsn from = kInvalidLsn;  // inclusive, both
  Lsn to = kMaxLsn;
  enum class Values { kNone, kText, kHex } values = Values::kText;
};

int verify(const std::string& directory, bool quiet);
int dump(const std::string& directory, const DumpOptions& options);
int stat(const std::string& directory);

}  // namespace strata::tool
