// The check of one layer file.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "store/env.h"
#include "store/layer_format.h"

namespace strata {

// Reads all of the file and throws kCorrupt or kVersion at the first thing that does not hold. `read` is called with
// the bytes that were read, block by block.
void verify_layer(Env& env, const std::string& path, const Layer& expected,
                  const std::function<void(std::uint64_t)>& read);

}  // namespace strata
