// A walk over the layers of a store that may be in use.
#pragma once

#include <functional>
#include <string>

#include "store/layer_file.h"

namespace strata::tool {

// Calls visit for each layer, runs of the newest LSNs first, with the file open. A layer that a running server has
// merged away meanwhile is left out, with a note on standard error.
void for_each_layer(const std::string& directory, const std::function<void(const LayerFile&)>& visit);

}  // namespace strata::tool
