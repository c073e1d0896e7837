#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "commands.h"
#include "describe.h"
#include "layers.h"
#include "store/manifest.h"
#include "store/time_marks.h"

namespace strata::tool {

namespace {

struct Level {
  std::set<std::pair<Lsn, Lsn>> runs;
  std::uint64_t layers = 0;
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
};

struct Entries {
  std::uint64_t count = 0;
  std::uint64_t value_bytes = 0;  // not compressed
};

std::string kind_text(KeyKind kind) {
  const char* name = name_of(kind);
  return name != nullptr ? name : fmt::format("kind {}", static_cast<int>(kind));
}

}  // namespace

int stat(const std::string& directory) {
  const ManifestState state = read_manifest(posix_env(), directory);
  std::map<std::pair<bool, int>, Level> levels;
  std::map<std::pair<KeyKind, EntryType>, Entries> entries;
  std::int64_t last_commit = state.horizon.time;
  for_each_layer(directory, [&](const LayerFile& file) {
    const LayerInfo& layer = file.layer().info;
    Level& level = levels[{layer.image, layer.level}];
    level.runs.emplace(layer.lsns.begin, layer.lsns.end);
    ++level.layers;
    level.entries += layer.entries;
    level.bytes += layer.bytes;
    LayerCursor cursor(file);
    for (cursor.seek(encode_key(layer.first_key), kMaxLsn); cursor.valid(); cursor.next()) {
      const Key key = decode_key(cursor.entry().key);
      if (key.kind == KeyKind::kTimeMark) last_commit = std::max(last_commit, time_of_mark(key));
      Entries& sum = entries[{key.kind, cursor.entry().type}];
      ++sum.count;
      sum.value_bytes += cursor.entry().value_bytes;
    }
  });

  fmt::print("system identifier {}, timeline {}\n", state.identity.system_identifier, state.identity.timeline);
  if (state.horizon.lsn == kInvalidLsn) {
    fmt::print("no baseline yet\n");
  } else {
    fmt::print("horizon {}, flushed up to {}\n", lsn_text(state.horizon.lsn), lsn_text(state.flushed));
    fmt::print("first moment {}, last commit {}\n", time_text(state.horizon.time), time_text(last_commit));
  }
  fmt::print("\n{:<10} {:>6} {:>8} {:>14} {:>16}\n", "level", "runs", "layers", "entries", "bytes");
  for (const auto& [which, level] : levels) {
    fmt::print("{:<10} {:>6} {:>8} {:>14} {:>16}\n",
               fmt::format("{} {}", which.first ? "image" : "delta", which.second), level.runs.size(), level.layers,
               level.entries, level.bytes);
  }
  fmt::print("\n{:<16} {:<12} {:>14} {:>20}\n", "kind", "type", "entries", "bytes of values");
  for (const auto& [which, sum] : entries) {
    fmt::print("{:<16} {:<12} {:>14} {:>20}\n", kind_text(which.first), type_text(which.second), sum.count,
               sum.value_bytes);
  }
  return kSound;
}

}  // namespace strata::tool
