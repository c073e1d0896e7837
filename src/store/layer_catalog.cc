#include "store/layer_catalog.h"

#include <algorithm>
#include <optional>
#include <set>

#include "store/handover.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

// A manifest below this is not worth rewriting.
constexpr std::uint64_t kMinRewriteBytes = 256 * 1024;
constexpr std::uint64_t kGrowth = 4;

std::string path_of(const std::string& directory, std::string_view name) { return directory + "/" + std::string(name); }

}  // namespace

bool LayerCatalog::exists(Env& env, const std::string& directory) {
  return env.exists(path_of(directory, kManifestName));
}

void LayerCatalog::create(Env& env, const std::string& directory, const StoreIdentity& identity) {
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

void LayerCatalog::destroy(Env& env, const std::string& directory) {
  if (!env.exists(directory)) return;
  env.remove(path_of(directory, kManifestName));
  env.sync_directory(directory);
  remove_handover(env, directory);
  for (const std::string& name : env.list(directory)) {
    if (name.ends_with(kLayerSuffix) || name == kManifestTemporaryName) env.remove(path_of(directory, name));
  }
}

LayerCatalog::LayerCatalog(Env& env, std::string directory, SharedStore& shared)
    : env_(env), directory_(std::move(directory)), shared_(shared), state_(read_manifest(env_, directory_)) {
  shared_.raise_layer_number(state_.next_number);
  // What was read may not be durable yet, and may have a torn tail behind it.
  file_ = rewrite(env_, directory_, state_, bytes_);
  bytes_rewritten_ = bytes_;

  // What an earlier writer has sealed means nothing any more.
  shared_.flushes().cancel();
  sweep();
  if (shared_.handover() != SharedStore::Handover::kRequested) remove_handover(env_, directory_);
  shared_.raise_layer_set_version();
}

void LayerCatalog::sweep() {
  std::set<std::string> known;
  for (const auto& [number, layer] : state_.layers) known.insert(layer.info.name);
  for (const Garbage& garbage : garbage_) known.insert(garbage.name);
  // In this order: who makes files beside the writer says which numbers are his before he does.
  const std::vector<std::string> names = env_.list(directory_);
  const std::uint64_t merge_floor = shared_.merge_floor();
  const std::uint64_t flush = shared_.flushes().file_number();
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

std::unique_ptr<WritableFile> LayerCatalog::rewrite(Env& env, const std::string& directory, const ManifestState& state,
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

void LayerCatalog::discard(const std::string& name) {
  garbage_.push_back({.name = name, .version = shared_.layer_set_version() + 1});
}

void LayerCatalog::discard(const std::vector<Layer>& layers) {
  for (const Layer& layer : layers) discard(layer.info.name);
}

void LayerCatalog::apply(ManifestEdit edit) {
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
  shared_.raise_layer_set_version();
}

void LayerCatalog::settle() {
  if (file_ != nullptr) return;
  file_ = rewrite(env_, directory_, state_, bytes_);
  bytes_rewritten_ = bytes_;
  // Who has read the edit meanwhile reads again.
  shared_.raise_layer_set_version();
}

void LayerCatalog::collect_garbage() {
  // While an edit's fate is open, the manifest on disk may still name what the edit added.
  if (file_ == nullptr || garbage_.empty()) return;
  const std::uint64_t oldest = shared_.oldest_version_in_use();
  const std::uint64_t current = shared_.layer_set_version();
  std::erase_if(garbage_, [&](const Garbage& garbage) {
    if (garbage.version > current || garbage.version > oldest) return false;
    try {
      env_.remove(path_of(directory_, garbage.name));
    } catch (const StoreError&) {
      return false;
    }
    return true;
  });
}

}  // namespace strata
