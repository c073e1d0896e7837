// What a damaged layer takes away.
#pragma once

#include <functional>
#include <set>
#include <string>

#include "store/env.h"
#include "store/key.h"
#include "store/layer_format.h"
#include "store/lsn.h"

namespace strata {

// The versions that cannot be read. Moments from the first of them on need one, each page until a newer base of it.
struct DamageExtent {
  // Where the index cannot be read: any version of the layer may be among them, and `keys` is empty.
  bool everything = false;
  // Their keys, with the block left out: of pages and all else.
  std::set<Key> keys;
  LsnRange lsns;  // theirs; empty where there are none
};

// Reads all versions of a layer, past what cannot be read. `pause` is called often, and may throw anything but
// StoreError.
[[nodiscard]] DamageExtent damage_of(Env& env, const std::string& path, const Layer& layer,
                                     const std::function<void()>& pause);

}  // namespace strata
