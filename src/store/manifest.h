// The manifest's content: edits, and the state that they add up to (doc/format.md, "The manifest").
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "store/coding.h"
#include "store/layer_format.h"
#include "store/store.h"

namespace strata {

inline constexpr std::string_view kManifestName = "MANIFEST";
inline constexpr std::size_t kMaxProofs = 8;
inline constexpr std::string_view kManifestTemporaryName = "MANIFEST.tmp";
// Lies beside them, and is not the store's: the lock of the server that writes here.
inline constexpr std::string_view kOwnerName = "OWNER";

// What one edit changes, as a whole or not at all.
struct ManifestEdit {
  std::optional<StoreIdentity> identity;
  std::optional<Horizon> horizon;
  std::optional<Lsn> flushed;
  std::optional<std::uint64_t> next_number;
  std::vector<Layer> added;
  std::vector<std::uint64_t> removed;  // numbers of layers
  std::vector<JoinProof> proofs;       // oldest first
};

struct ManifestState {
  StoreIdentity identity;
  Horizon horizon;
  Lsn flushed = kInvalidLsn;
  std::uint64_t next_number = 1;
  std::map<std::uint64_t, Layer> layers;  // by number
  std::vector<JoinProof> proofs;          // oldest first, kMaxProofs at most

  // Throws kInvalid, and has not changed, when a layer is added twice or removed without being there.
  void apply(const ManifestEdit& edit);
  // The edit that makes this state out of nothing.
  [[nodiscard]] ManifestEdit as_edit() const;
};

[[nodiscard]] std::string encode_edit(const ManifestEdit& edit);
// `file` and `offset` are for messages. Throws kCorrupt and kVersion.
[[nodiscard]] ManifestEdit decode_edit(Bytes payload, std::string_view file, std::uint64_t offset);

[[nodiscard]] std::string encode_manifest_header();
// An edit as it stands at `offset` of the file.
[[nodiscard]] std::string frame_edit(std::string_view payload, std::uint64_t offset);

// The state that a whole manifest adds up to, without a torn tail; where that begins comes in `end`. Throws kCorrupt
// and kVersion.
[[nodiscard]] ManifestState decode_manifest(Bytes content, std::string_view file, std::size_t* end = nullptr);
[[nodiscard]] ManifestState read_manifest(Env& env, const std::string& directory);
// The file as it is now.
[[nodiscard]] std::string read_manifest_bytes(Env& env, const std::string& directory);

}  // namespace strata
