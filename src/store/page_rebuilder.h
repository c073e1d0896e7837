// How the store asks for the state of a page: it keeps records that only PostgreSQL's redo can read.
#pragma once

#include <cstddef>
#include <string_view>

#include "store/entry.h"

namespace strata {

inline constexpr std::size_t kPageBytes = 8192;

// A page that grows version by version, exactly as a reader would rebuild it at each of them. One at a time.
class PageRebuilder {
 public:
  virtual ~PageRebuilder() = default;
  // Starts with a page of zeroes. `key` is of kind kPage or kCommitLog.
  virtual void begin(const Key& key) = 0;
  // The next version, oldest first; a base replaces all before it. Throws StoreError (kCorrupt) where the version does
  // not apply; the page means nothing then.
  virtual void apply(const Version& version) = 0;
  // kPageBytes, valid until the next call.
  [[nodiscard]] virtual std::string_view page() const = 0;
};

}  // namespace strata
