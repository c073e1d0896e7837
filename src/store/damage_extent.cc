#include "store/damage_extent.h"

#include <algorithm>

#include "store/block_cache.h"
#include "store/error.h"
#include "store/layer_file.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kCacheBytes = std::size_t{1} << 20;

bool is_readable(const LayerCursor& cursor) {
  try {
    [[maybe_unused]] const Value value = cursor.value();
    return true;
  } catch (const StoreError&) {
    return false;
  }
}

void add(const IndexEntry& entry, DamageExtent& extent) {
  Key key = decode_key(entry.key);
  key.block = 0;
  extent.keys.insert(key);
  extent.lsns.begin = extent.lsns.empty() ? entry.lsn : std::min(extent.lsns.begin, entry.lsn);
  extent.lsns.end = std::max(extent.lsns.end, entry.lsn + 1);
}

}  // namespace

DamageExtent damage_of(Env& env, const std::string& path, const Layer& layer, const std::function<void()>& pause) {
  BlockCache cache(kCacheBytes);
  try {
    DamageExtent extent;
    const LayerFile file(env, path, layer, cache);
    LayerCursor cursor(file);
    for (cursor.seek(encode_key(layer.info.first_key), kMaxLsn); cursor.valid(); cursor.next()) {
      if (!is_readable(cursor)) add(cursor.entry(), extent);
      pause();
    }
    return extent;
  } catch (const StoreError&) {
    return {.everything = true, .keys = {}, .lsns = layer.info.lsns};
  }
}

}  // namespace strata
