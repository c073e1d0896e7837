#include "store/manifest_owner.h"

#include <algorithm>
#include <optional>
#include <set>

#include "store/compaction_result.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

// A manifest below this is not worth rewriting.
constexpr std::uint64_t kMinRewriteBytes = 256 * 1024;
constexpr std::uint64_t kGrowth = 4;

std::string path_of(const std::string& directory, std::string_view name) { return directory + "/" + std::string(name); }

}  // namespace

bool ManifestOwner::exists(Env& env, const std::string& directory) {
  return env.exists(path_of(directory, kManifestName));
}

void ManifestOwner::create(Env& env, const std::string& directory, const StoreIdentity& identity) {
  if (exists(env, directory))
    throw StoreError(ErrorKind::kInvalid, "directory \"" + directory + "\" holds a store already");
  env.create_directory(directory);
  for (const std::string& name : env.list(directory)) {
    if (name.ends_with(kLayerSuffix)) {
      std::string message = "found the layer \"";
      message.append(path_of(directory, name)).append("\", but no manifest");
      throw StoreError(ErrorKind::kCorrupt, message);
    }
  }
  ManifestState state;
  state.identity = identity;
  std::uint64_t bytes = 0;
  rewrite(env, directory, state, bytes)->close();
}

void ManifestOwner::destroy(Env& env, const std::string& directory) {
  if (!env.exists(directory)) return;
  env.remove(path_of(directory, kManifestName));
  env.sync_directory(directory);
  remove_compaction_result(env, directory);
  for (const std::string& name : env.list(directory)) {
    if (name.ends_with(kLayerSuffix) || name == kManifestTemporaryName) env.remove(path_of(directory, name));
  }
}

ManifestOwner::ManifestOwner(Env& env, std::string directory, SharedStore& shared)
    : env_(env), directory_(std::move(directory)), shared_(shared), state_(read_manifest(env_, directory_)) {
  shared_.raise_layer_number(state_.next_number);
  // What was read may not be durable yet, and may have a torn tail behind it.
  file_ = rewrite(env_, directory_, state_, bytes_);
  bytes_rewritten_ = bytes_;

  // A flush job of an earlier writer means nothing any more.
  shared_.flush_job().cancel();
  find_orphans();
  if (shared_.result_state() != SharedStore::ResultState::kRequested) remove_compaction_result(env_, directory_);
  shared_.raise_layer_map_version();
}

void ManifestOwner::find_orphans() {
  std::set<std::string> known;
  for (const auto& [number, layer] : state_.layers) known.insert(layer.info.name);
  for (const ObsoleteFile& obsolete : obsolete_files_) known.insert(obsolete.name);
  // In this order: who makes files beside the writer says which numbers are his before he does.
  const std::vector<std::string> names = env_.list(directory_);
  const std::uint64_t merge_floor = shared_.merge_floor();
  const std::uint64_t flush = shared_.flush_job().file_number();
  for (const std::string& name : names) {
    if (!name.ends_with(kLayerSuffix) || known.contains(name)) continue;
    const std::optional<LayerNumber> layer = parse_layer_name(name);
    // A file that waits to be removed must not get a namesake.
    if (layer) shared_.raise_layer_number(layer->number + 1);
    const bool of_running_merge = layer && layer->level > 0 && merge_floor != 0 && layer->number >= merge_floor;
    const bool of_running_flush = layer && layer->level == 0 && layer->number == flush;
    if (!of_running_merge && !of_running_flush) discard(name);
  }
}

std::unique_ptr<WritableFile> ManifestOwner::rewrite(Env& env, const std::string& directory, const ManifestState& state,
                                                     std::uint64_t& bytes) {
  std::string content = encode_manifest_header();
  content += frame_edit(encode_edit(state.as_edit()), content.size());
  const std::string temporary = path_of(directory, kManifestTemporaryName);
  const std::string path = path_of(directory, kManifestName);
  std::unique_ptr<WritableFile> file = env.create(temporary);
  file->append(as_bytes(content));
  file->sync();
  file->close();
  env.rename(temporary, path);
  env.sync_directory(directory);
  bytes = content.size();
  return env.append_to(path);
}

void ManifestOwner::discard(const std::string& name) {
  obsolete_files_.push_back({.name = name, .version = shared_.layer_map_version() + 1});
}

void ManifestOwner::discard(const std::vector<Layer>& layers) {
  for (const Layer& layer : layers) discard(layer.info.name);
}

void ManifestOwner::apply(ManifestEdit edit) {
  edit.next_number = shared_.next_layer_number();
  ManifestState next = state_;
  next.apply(edit);
  try {
    if (file_ == nullptr || bytes_ > std::max(kMinRewriteBytes, kGrowth * bytes_rewritten_)) {
      file_ = nullptr;
      file_ = rewrite(env_, directory_, next, bytes_);
      bytes_rewritten_ = bytes_;
    } else {
      const std::string framed = frame_edit(encode_edit(edit), bytes_);
      file_->append(as_bytes(framed));
      file_->sync();
      bytes_ += framed.size();
    }
  } catch (...) {
    file_ = nullptr;
    discard(edit.added);
    throw;
  }
  for (const std::uint64_t number : edit.removed) discard(state_.layers.at(number).info.name);
  state_ = std::move(next);
  shared_.raise_layer_map_version();
}

void ManifestOwner::settle() {
  if (file_ != nullptr) return;
  file_ = rewrite(env_, directory_, state_, bytes_);
  bytes_rewritten_ = bytes_;
  // Who has read the edit meanwhile reads again.
  shared_.raise_layer_map_version();
}

void ManifestOwner::remove_obsolete_files() {
  // While an edit's fate is open, the manifest on disk may still name what the edit added.
  if (file_ == nullptr || obsolete_files_.empty()) return;
  const std::uint64_t oldest = shared_.oldest_version_in_use();
  const std::uint64_t current = shared_.layer_map_version();
  std::erase_if(obsolete_files_, [&](const ObsoleteFile& obsolete) {
    if (obsolete.version > current || obsolete.version > oldest) return false;
    try {
      env_.remove(path_of(directory_, obsolete.name));
    } catch (const StoreError&) {
      return false;
    }
    return true;
  });
}

}  // namespace strata
