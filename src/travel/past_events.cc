#include "travel/past_events.h"

#include <algorithm>
#include <utility>

#include "pg/shared_state.h"

namespace strata::travel {

namespace {

// What is kept at most; 24 bytes each.
constexpr std::size_t kMaxEvents = 100'000;

}  // namespace

void PastEvents::forget() {
  databases_.clear();
  forks_.clear();
  events_ = 0;
}

void PastEvents::validate(std::uint64_t layer_map_version, std::uint64_t epoch) {
  if (layer_map_version == layer_map_version_ && epoch == epoch_) return;
  forget();
  layer_map_version_ = layer_map_version;
  epoch_ = epoch;
}

template <class Id, class Event, class Read>
const std::vector<Event>& PastEvents::events_of(std::map<Id, Known<Event>>& all, const Id& id, XLogRecPtr at,
                                                Read&& read) {
  if (const auto known = all.find(id); known != all.end() && at <= known->second.upto) {
    return known->second.newest_first;
  }
  if (events_ >= kMaxEvents) forget();
  // Everything up to history's end is read at once: most questions are of moments before it. What is newer than the
  // moment may be damaged without harm to it.
  const XLogRecPtr upto = std::max<XLogRecPtr>(at, pg::shared_store->visible_lsn());
  Known<Event> fresh;
  try {
    fresh = {.upto = upto, .newest_first = read(upto)};
  } catch (const StoreError&) {
    if (upto == at) throw;
    fresh = {.upto = at, .newest_first = read(at)};
  }
  events_ += 1 + fresh.newest_first.size();
  return all.insert_or_assign(id, std::move(fresh)).first->second.newest_first;
}

DatabaseEvent PastEvents::database_at(Reader& reader, Oid tablespace, Oid database, XLogRecPtr at) {
  const Key key{KeyKind::kDatabase, tablespace, database, 0, 0, 0};
  const auto& events = events_of(databases_, DatabaseId{tablespace, database}, at,
                                 [&](XLogRecPtr upto) { return read_database_events(reader, key, upto); });
  const auto event =
      std::find_if(events.begin(), events.end(), [&](const DatabaseEvent& one) { return one.lsn <= at; });
  return event == events.end() ? DatabaseEvent{} : *event;
}

std::vector<Truncation> PastEvents::truncations_at(Reader& reader, const RelFileLocator& locator, ForkNumber fork,
                                                   XLogRecPtr at, XLogRecPtr since) {
  const Key key{
      KeyKind::kTruncation, locator.spcOid, locator.dbOid, locator.relNumber, static_cast<std::uint8_t>(fork), 0};
  std::vector<Truncation> result;
  for (const Truncation& truncation :
       events_of(forks_, ForkId{locator.spcOid, locator.dbOid, locator.relNumber, fork}, at,
                 [&](XLogRecPtr upto) { return read_truncations(reader, key, upto); })) {
    if (truncation.lsn <= since) break;
    if (truncation.lsn <= at) result.push_back(truncation);
  }
  return result;
}

}  // namespace strata::travel
