// Pages as of an LSN, rebuilt: across ends of incarnations, and out of the databases that theirs were copied from.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/incarnations.h"
#include "store/page_rebuilder.h"
#include "store/store.h"

namespace strata {

// A page, or why there is none to be had.
struct PageState {
  Lsn lsn = kInvalidLsn;           // of its newest version
  bool unreconstructable = false;  // its versions do not rebuild it: `bytes` says why
  std::string bytes;
};

// Cheap for keys in ascending order.
class PageStates {
 public:
  // Looks at versions up to `end`. Both are borrowed.
  PageStates(Reader& reader, PageRebuilder& rebuilder, Lsn end) : reader_(reader), rebuilder_(rebuilder), end_(end) {}

  [[nodiscard]] Incarnations& incarnations() { return incarnations_of(0); }

  // REQUIRES: key.kind is kPage or kCommitLog. Nothing: the page has no version then, and reads as zeroes.
  [[nodiscard]] std::optional<PageState> at(const Key& key, Lsn at) { return find(key, at, 0); }

  // The base of `key` where it lies in the database that the key's was copied from, as of that copy, with its LSN.
  // Nothing where the incarnation of `key` that `floor` begins is no copied one, or the page was not there.
  [[nodiscard]] std::optional<PageState> copied_base(const Key& key, Lsn at, Lsn floor) {
    return find_copied_base(key, at, floor, 0);
  }

  // What `apply_all` makes of the page with its calls of PageRebuilder::apply().
  template <class ApplyAll>
  PageState rebuild(const Key& key, Lsn lsn, ApplyAll&& apply_all) {
    PageState state{.lsn = lsn, .unreconstructable = false, .bytes = {}};
    try {
      rebuilder_.begin(key);
      apply_all(rebuilder_);
      state.bytes = rebuilder_.page();
    } catch (const StoreError& error) {
      if (error.kind() != ErrorKind::kCorrupt) throw;
      state.unreconstructable = true;
      state.bytes = error.what();
    }
    return state;
  }
  // What a chain of its own makes of the page.
  PageState rebuild(const Key& key, const Chain& chain);

 private:
  [[nodiscard]] Incarnations& incarnations_of(std::size_t depth);
  [[nodiscard]] std::optional<PageState> find(const Key& key, Lsn at, std::size_t depth);
  [[nodiscard]] std::optional<PageState> find_copied_base(const Key& key, Lsn at, Lsn floor, std::size_t depth);

  Reader& reader_;
  PageRebuilder& rebuilder_;
  Lsn end_;
  std::vector<std::unique_ptr<Incarnations>> incarnations_;  // by depth of copies, so that each sees ascending keys
};

// Whether a reader may apply this version to a page of zeroes, for want of a base. Records and diffs need the page that
// they were made for.
[[nodiscard]] inline bool applies_without_base(EntryType type) {
  return type != EntryType::kRecord && type != EntryType::kPageDiff;
}

}  // namespace strata
