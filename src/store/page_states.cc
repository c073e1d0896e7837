#include "store/page_states.h"

#include "store/no_postgres.h"

namespace strata {

namespace {

Version base_of(const PageState& state) {
  return {.lsn = state.lsn, .type = EntryType::kImage, .base = true, .value = state.bytes};
}

}  // namespace

Incarnations& PageStates::incarnations_of(std::size_t depth) {
  while (incarnations_.size() <= depth) incarnations_.push_back(std::make_unique<Incarnations>(reader_, end_));
  return *incarnations_[depth];
}

PageState PageStates::rebuild(const Key& key, const Chain& chain) {
  return rebuild(key, chain.empty() ? kInvalidLsn : chain.back().lsn, [&](PageRebuilder& rebuilder) {
    for (const Version& version : chain) rebuilder.apply(version);
  });
}

std::optional<PageState> PageStates::find(const Key& key, Lsn at, std::size_t depth) {
  if (depth == kMaxCopies) throw_too_many_copies();
  const Lsn floor = key.kind == KeyKind::kPage ? incarnations_of(depth).floor_at(key, at) : kInvalidLsn;
  const Chain chain = reader_.chain(key, at, floor);
  std::optional<PageState> base;
  if (key.kind == KeyKind::kPage && (chain.empty() || !chain.front().base)) {
    base = find_copied_base(key, at, floor, depth);
  }
  if (chain.empty()) return base;
  const Lsn lsn = chain.back().lsn;
  if (base && base->unreconstructable) return PageState{.lsn = lsn, .unreconstructable = true, .bytes = base->bytes};
  if (!base && !chain.front().base && !applies_without_base(chain.front().type)) {
    return PageState{.lsn = lsn, .unreconstructable = true, .bytes = "it has changes but no page to apply them to"};
  }
  return rebuild(key, lsn, [&](PageRebuilder& rebuilder) {
    if (base) rebuilder.apply(base_of(*base));
    for (const Version& version : chain) rebuilder.apply(version);
  });
}

std::optional<PageState> PageStates::find_copied_base(const Key& key, Lsn at, Lsn floor, std::size_t depth) {
  const DatabaseEvent event = incarnations_of(depth).database_event_at(key, at);
  if (!event.copied || event.lsn != floor) return std::nullopt;
  Key source = key;
  source.tablespace = event.source_tablespace;
  source.database = event.source_database;
  std::optional<PageState> state = find(source, event.lsn, depth + 1);
  if (state) state->lsn = event.lsn;
  return state;
}

}  // namespace strata
