// The memtable's chains, bounded like those in layers.
#pragma once

#include "store/page_rebuilder.h"
#include "store/store.h"

namespace strata {

// Puts an image behind one of the chains that the Writer tells of, so that readers of a page which changes all the time
// need not begin where the memtable does. False: there is none. A page that cannot be rebuilt keeps its chain.
// Throws StoreError but kCorrupt, and what `rebuilder` throws. REQUIRES: everything that was put is published; `kind`
// is that of pages or the commit log.
bool shorten_long_chain(KeyKind kind, Writer& writer, Reader& reader, PageRebuilder& rebuilder);

}  // namespace strata
