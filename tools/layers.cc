#include "layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <tuple>
#include <vector>

#include "store/manifest.h"

namespace strata::tool {

namespace {

constexpr std::size_t kCacheBytes = std::size_t{16} << 20;

}  // namespace

void for_each_layer(const std::string& directory, const std::function<void(const LayerFile&)>& visit) {
  Env& env = posix_env();
  const ManifestState state = read_manifest(env, directory);
  std::vector<Layer> layers;
  for (const auto& [number, layer] : state.layers) layers.push_back(layer);
  std::sort(layers.begin(), layers.end(), [](const Layer& a, const Layer& b) {
    return std::make_tuple(b.info.lsns.end, a.info.first_key) < std::make_tuple(a.info.lsns.end, b.info.first_key);
  });
  BlockCache cache(kCacheBytes);
  for (const Layer& layer : layers) {
    std::unique_ptr<LayerFile> file;
    try {
      file = std::make_unique<LayerFile>(env, directory + "/" + layer.info.name, layer, cache);
    } catch (const StoreError& error) {
      const bool gone = error.kind() == ErrorKind::kNotFound;
      if (!gone || read_manifest(env, directory).layers.contains(layer.number)) throw;
      fmt::print(stderr, "pg_strata: \"{}\" has been merged away meanwhile\n", layer.info.name);
      continue;
    }
    visit(*file);
  }
}

}  // namespace strata::tool
