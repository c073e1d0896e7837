// The file with which a finished merge goes from the compactor to the writer (doc/format.md, "A merge on its way").
#pragma once

#include <string>
#include <string_view>

#include "store/manifest.h"

namespace strata {

inline constexpr std::string_view kHandoverName = "MERGE";

// Not durable: after a crash the file means nothing.
void write_handover(Env& env, const std::string& directory, const ManifestEdit& edit);
// Throws kCorrupt.
[[nodiscard]] ManifestEdit read_handover(Env& env, const std::string& directory);
void remove_handover(Env& env, const std::string& directory);

}  // namespace strata
