#include "store/replacement_check.h"

#include <algorithm>
#include <string>

#include "store/page_states.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

[[noreturn]] void throw_changed(const char* work, const Key& key) {
  throw StoreError(ErrorKind::kCorrupt, std::string(work) + " would change the history of " + block_name(key) +
                                            " (kind " + std::to_string(static_cast<int>(key.kind)) + ")");
}

bool same_state(const PageState& a, const PageState& b) {
  return a.unreconstructable == b.unreconstructable && (a.unreconstructable || a.bytes == b.bytes);
}

bool same_version(const Version& a, const Version& b) {
  return a.lsn == b.lsn && a.type == b.type && a.base == b.base && a.value == b.value;
}

class GcCheck {
 public:
  GcCheck(Reader& before, LayerMap& after, PageRebuilder& rebuilder, Lsn cutoff, Lsn at,
          const OldMultixacts& old_multixacts)
      : before_(before),
        after_(after),
        states_(before, rebuilder, at),
        cutoff_(cutoff),
        at_(at),
        old_multixacts_(old_multixacts) {}

  [[nodiscard]] bool same(const Key& key) {
    switch (key.kind) {
      case KeyKind::kPage:
      case KeyKind::kCommitLog:
        return same_page(key);
      case KeyKind::kRelationSize:
        return same_size(key);
      case KeyKind::kMultiXact:
        return same_multixact(key);
      case KeyKind::kCheckpoint:
      case KeyKind::kNextXid:
      case KeyKind::kTablespace:
        return same_value(before_.newest(key, at_), after_.chain(key, at_, kInvalidLsn));
      default:
        // What they say has changed with what they are about.
        return true;
    }
  }

 private:
  // What ended an incarnation by the cutoff is not there any more, and hides nothing.
  [[nodiscard]] Lsn floor_after(Lsn floor) const { return floor <= cutoff_ ? kInvalidLsn : floor; }

  bool same_page(const Key& key) {
    const bool is_page = key.kind == KeyKind::kPage;
    const Lsn floor = is_page ? states_.incarnations().floor_at(key, at_) : kInvalidLsn;
    // A copy after the cutoff looks for its pages in the database that it was copied from, as ever.
    if (is_page && floor > cutoff_ && states_.incarnations().database_event_at(key, at_).copied) return true;
    const std::optional<PageState> before = states_.at(key, at_);
    const Chain chain = after_.chain(key, at_, floor_after(floor));
    if (!before || chain.empty()) return !before && chain.empty();
    const bool whole = chain.front().base || applies_without_base(chain.front().type);
    PageState rebuilt = states_.rebuild(key, chain);
    if (!whole) rebuilt.unreconstructable = true;
    return same_state(*before, rebuilt);
  }

  bool same_size(const Key& key) {
    const DatabaseEvent event = states_.incarnations().database_event_at(key, at_);
    const std::optional<Version> before = before_.newest(key, at_, event.lsn);
    if (!before && event.copied) return true;
    const Chain chain = after_.chain(key, at_, floor_after(event.lsn));
    const bool gone = !before || before->value.empty();
    if (gone) return chain.empty() || chain.back().value.empty();
    return same_value(before, chain);
  }

  bool same_multixact(const Key& key) {
    std::optional<Version> before = before_.newest(key, at_);
    if (before && before->lsn <= cutoff_ && old_multixacts_.contains(key)) before.reset();
    return same_value(before, after_.chain(key, at_, kInvalidLsn));
  }

  static bool same_value(const std::optional<Version>& before, const Chain& after) {
    if (!before || after.empty()) return !before && after.empty();
    return before->lsn == after.back().lsn && before->value == after.back().value;
  }

  Reader& before_;
  LayerMap& after_;
  PageStates states_;
  Lsn cutoff_;
  Lsn at_;
  const OldMultixacts& old_multixacts_;
};

}  // namespace

void check_merge(Reader& before, LayerMap& after, PageRebuilder& rebuilder, Lsn end, const std::vector<Sample>& samples,
                 const std::function<void()>& pause) {
  PageStates states(before, rebuilder, end);
  for (const auto& [key, at] : samples) {
    pause();
    const bool is_page = key.kind == KeyKind::kPage;
    const Lsn floor = is_page ? states.incarnations().floor_at(key, at) : kInvalidLsn;
    const Chain chain_before = before.chain(key, at, floor);
    const Chain chain_after = after.chain(key, at, floor);
    // What could not be rebuilt before must be as it was.
    const bool unchanged = is_page || key.kind == KeyKind::kCommitLog
                               ? same_state(states.rebuild(key, chain_before), states.rebuild(key, chain_after))
                               : std::equal(chain_before.begin(), chain_before.end(), chain_after.begin(),
                                            chain_after.end(), same_version);
    if (!unchanged) throw_changed("a merge", key);
  }
}

void check_gc(Reader& before, LayerMap& after, PageRebuilder& rebuilder, Lsn cutoff, Lsn flushed,
              const OldMultixacts& old_multixacts, const std::vector<Key>& keys, const std::function<void()>& pause) {
  for (const Lsn at : {cutoff, flushed}) {
    GcCheck check(before, after, rebuilder, cutoff, at, old_multixacts);
    for (const Key& key : keys) {
      pause();
      if (!check.same(key)) throw_changed("garbage collection", key);
    }
  }
}

}  // namespace strata
