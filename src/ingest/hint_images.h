// Images that WAL holds only because a page got hint bits: most of WAL where checksums are on.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/rmgr.h"
}

#include <array>
#include <cstdint>
#include <optional>

#include "store/key.h"

namespace strata::ingest {

// The resource manager whose mask hides everything that may change on this page without a record, judged by the page's
// layout alone. None where that cannot be said: new pages, sequences (their values run ahead of WAL), GiST and hash
// (their scans read the page's LSN), what extensions made.
std::optional<RmgrId> manager_of_hints(const char* page);

// How many versions pages have had since their last base. A bounded memory: a page that had to make room for another
// one, and every page after a restart, counts from 0 again.
class ChainLengths {
 public:
  // Counts a version. `base`: it begins a chain.
  void note(const Key& page, bool base) {
    Slot& slot = slots_[place_of(page)];
    const std::uint32_t tag = tag_of(page);
    if (slot.tag != tag || base) slot = {.tag = tag, .versions = 0};
    ++slot.versions;
  }

  [[nodiscard]] std::uint32_t of(const Key& page) const {
    const Slot& slot = slots_[place_of(page)];
    return slot.tag == tag_of(page) ? slot.versions : 0;
  }

 private:
  static constexpr std::size_t kSlots = 16384;
  struct Slot {
    std::uint32_t tag = 0;
    std::uint32_t versions = 0;
  };

  static std::uint64_t mix(const Key& page) {
    std::uint64_t h = (std::uint64_t{page.relation} << 32 | page.block) * 0x9E3779B97F4A7C15;
    h ^= (std::uint64_t{page.database} << 8 | page.fork) + (h >> 29);
    return h * 0xBF58476D1CE4E5B9;
  }
  static std::size_t place_of(const Key& page) { return (mix(page) >> 32) % kSlots; }
  static std::uint32_t tag_of(const Key& page) { return static_cast<std::uint32_t>(mix(page)); }

  std::array<Slot, kSlots> slots_{};
};

}  // namespace strata::ingest
