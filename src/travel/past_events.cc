#include "travel/past_events.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "pg/shared_state.h"

namespace strata::travel {

namespace {

// What is kept at most; 24 bytes each.
constexpr std::size_t kMaxEvents = 100'000;

}  // namespace

std::uint32_t read_u32(const std::string& value, std::size_t offset) {
  if (value.size() < offset + sizeof(std::uint32_t)) {
    throw StoreError(ErrorKind::kCorrupt,
                     "a value in the store is too short: " + std::to_string(value.size()) + " bytes");
  }
  std::uint32_t result = 0;
  std::memcpy(&result, value.data() + offset, sizeof(result));
  return result;
}

void PastEvents::forget() {
  databases_.clear();
  forks_.clear();
  events_ = 0;
}

void PastEvents::make_room() {
  if (events_ >= kMaxEvents) forget();
}

void PastEvents::validate(std::uint64_t layer_set_version, std::uint64_t epoch) {
  if (layer_set_version == layer_set_version_ && epoch == epoch_) return;
  forget();
  layer_set_version_ = layer_set_version;
  epoch_ = epoch;
}

// Everything up to history's end is read at once: most questions are of moments before it.
DatabaseState PastEvents::database_at(Reader& reader, Oid tablespace, Oid database, XLogRecPtr at) {
  const DatabaseId id{tablespace, database};
  auto known = databases_.find(id);
  if (known == databases_.end() || known->second.upto < at) {
    make_room();
    Known<DatabaseState> fresh;
    const XLogRecPtr upto = std::max<XLogRecPtr>(at, pg::shared_store->visible_lsn());
    reader.history(Key{KeyKind::kDatabase, tablespace, database, 0, 0, 0}, upto, InvalidXLogRecPtr,
                   [&](const Version& version) {
                     DatabaseState state;
                     state.since = version.lsn;
                     if (!version.value.empty()) {
                       state.copied = true;
                       state.source_tablespace = read_u32(version.value, 0);
                       state.source_database = read_u32(version.value, sizeof(std::uint32_t));
                     }
                     fresh.newest_first.push_back(state);
                     return true;
                   });
    fresh.upto = upto;
    events_ += 1 + fresh.newest_first.size();
    known = databases_.insert_or_assign(id, std::move(fresh)).first;
  }
  for (const DatabaseState& state : known->second.newest_first) {
    if (state.since <= at) return state;
  }
  return {};
}

std::vector<Reset> PastEvents::resets_at(Reader& reader, const RelFileLocator& locator, ForkNumber fork, XLogRecPtr at,
                                         XLogRecPtr since) {
  const ForkId id{locator.spcOid, locator.dbOid, locator.relNumber, fork};
  auto known = forks_.find(id);
  if (known == forks_.end() || known->second.upto < at) {
    make_room();
    Known<Reset> fresh;
    const XLogRecPtr upto = std::max<XLogRecPtr>(at, pg::shared_store->visible_lsn());
    const Key key{
        KeyKind::kRelationReset, locator.spcOid, locator.dbOid, locator.relNumber, static_cast<std::uint8_t>(fork), 0};
    reader.history(key, upto, InvalidXLogRecPtr, [&](const Version& version) {
      fresh.newest_first.push_back(Reset{version.lsn, read_u32(version.value, 0)});
      return true;
    });
    fresh.upto = upto;
    events_ += 1 + fresh.newest_first.size();
    known = forks_.insert_or_assign(id, std::move(fresh)).first;
  }
  std::vector<Reset> result;
  for (const Reset& reset : known->second.newest_first) {
    if (reset.lsn <= since) break;
    if (reset.lsn <= at) result.push_back(reset);
  }
  return result;
}

}  // namespace strata::travel
