// The keys that databases have from the ones that they were copied from.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "store/incarnations.h"
#include "store/store.h"

namespace strata {

// Walks them in key order: the pages of every copied database, then the sizes of its forks, as they were copied.
class CopiedKeys {
 public:
  // Of databases that are copies at `at`. `reader` is borrowed for the construction.
  CopiedKeys(Reader& reader, Lsn at);

  [[nodiscard]] bool valid() const { return range_ < ranges_.size(); }
  [[nodiscard]] Key key() const;
  void next();

  // What a fork had when its database was copied. REQUIRES: size_key.kind is kRelationSize.
  [[nodiscard]] std::optional<std::uint32_t> copied_size(const Key& size_key) const;

 private:
  struct Range {
    Key first;            // a page, or a size
    std::uint32_t count;  // of blocks; 1 of a size
    std::uint32_t blocks;
  };

  std::vector<Range> ranges_;  // ascending; none is empty
  std::size_t range_ = 0;
  std::uint32_t offset_ = 0;
};

}  // namespace strata
