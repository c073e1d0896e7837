// Checks a store: every checksum of every block, and every invariant of doc/format.md that files alone can show.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "store/damage_extent.h"
#include "store/env.h"
#include "store/memtable.h"

namespace strata {

struct VerifiedFile {
  std::string name;
  int level = -1;  // -1: no layer
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::string problem;                 // empty: the file is sound
  std::optional<DamageExtent> damage;  // of a layer with a problem
};

struct VerifyProgress {
  std::uint64_t files_done = 0;
  std::uint64_t bytes_done = 0;   // of files, the one in work included
  std::uint64_t bytes_total = 0;  // of the layers there were at first; merges may change that
};

// A walk over the files of a store, beside its Writer and its Compactor or without them. It holds on to one layer at a
// time: what is merged meanwhile is removed, and its successor is checked in its place. Layers that are flushed after
// the begin are left to the next walk. Memory: a block of values, an index block, the top index and the filter of one
// layer, and the decoded index entries of a block.
class Verifier {
 public:
  // env is borrowed, and so is shared, which may be null: then files may vanish under the walk, which counts as no
  // problem where the manifest no longer names them. `pause` is called often, and may throw.
  // Throws StoreError where the directory cannot be read or holds no store.
  Verifier(
      Env& env, std::string directory, SharedStore* shared, std::function<void()> pause = [] {});
  ~Verifier();

  // The next file: first the manifest, then the layers, then files that belong to no store. Nothing after the last.
  // What is wrong with a file is in its `problem`, the I/O error that keeps it from being read too; errors of `pause`
  // come through.
  [[nodiscard]] std::optional<VerifiedFile> next();

  [[nodiscard]] const VerifyProgress& progress() const;

  Verifier(const Verifier&) = delete;
  Verifier& operator=(const Verifier&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace strata
