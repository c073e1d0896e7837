// Holds a trim against what it replaces, before the inputs go.
#pragma once

#include <functional>
#include <vector>

#include "store/layer_set.h"
#include "store/page_rebuilder.h"
#include "store/store.h"

namespace strata {

// Rebuilds the keys at `cut` and at `flushed` as `before` and `after` have them. Throws kCorrupt where they differ.
void check_trim(Reader& before, LayerSet& after, PageRebuilder& rebuilder, Lsn cut, Lsn flushed,
                const std::vector<Key>& keys, const std::function<void()>& pause);

}  // namespace strata
