// The file with which the compactor submits a result to the writer (doc/format.md, "Compaction results").
#pragma once

#include <string>
#include <string_view>

#include "store/manifest.h"

namespace strata {

inline constexpr std::string_view kCompactionResultName = "MERGE";

// Not durable: after a crash the file means nothing.
void write_compaction_result(Env& env, const std::string& directory, const ManifestEdit& edit);
// Throws kCorrupt.
[[nodiscard]] ManifestEdit read_compaction_result(Env& env, const std::string& directory);
void remove_compaction_result(Env& env, const std::string& directory);

}  // namespace strata
