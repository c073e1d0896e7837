// Holds what a merge or garbage collection has written against what it replaces, before the inputs go.
#pragma once

#include <functional>
#include <vector>

#include "store/layer_map.h"
#include "store/page_rebuilder.h"
#include "store/store.h"
#include "store/gc_plan.h"

namespace strata {

// A key and an LSN at which the two must say the same.
struct Sample {
  Key key;
  Lsn at;
};

// Rebuilds the samples as `before` and `after` have them. `end`: where what was merged ends. Throws kCorrupt where they
// differ.
void check_merge(Reader& before, LayerMap& after, PageRebuilder& rebuilder, Lsn end, const std::vector<Sample>& samples,
                 const std::function<void()>& pause);

// Rebuilds the keys at `cutoff` and at `flushed` as `before` and `after` have them. Throws kCorrupt where they differ.
void check_gc(Reader& before, LayerMap& after, PageRebuilder& rebuilder, Lsn cutoff, Lsn flushed,
              const OldMultixacts& old_multixacts, const std::vector<Key>& keys, const std::function<void()>& pause);

}  // namespace strata
