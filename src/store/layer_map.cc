#include "store/layer_map.h"

#include <algorithm>
#include <tuple>

#include "store/no_postgres.h"

namespace strata {

bool LayerRun::fits(const Layer& layer) const {
  return layer.info.image == image && (image || layer.info.lsns == lsns) &&
         layers_.back().layer.info.last_key < layer.info.first_key;
}

void LayerRun::add(const Layer& layer) {
  lsns = {.begin = std::min(lsns.begin, layer.info.lsns.begin), .end = std::max(lsns.end, layer.info.lsns.end)};
  layers_.push_back({.layer = layer, .file = nullptr});
}

std::size_t LayerRun::first_reaching(const Key& key) const {
  const auto found = std::partition_point(layers_.begin(), layers_.end(),
                                          [&](const Member& member) { return member.layer.info.last_key < key; });
  return static_cast<std::size_t>(found - layers_.begin());
}

LayerMap::LayerMap(Env& env, std::string directory, const ManifestState& state, BlockCache& cache)
    : env_(env),
      directory_(std::move(directory)),
      cache_(cache),
      identity_(state.identity),
      horizon_(state.horizon),
      flushed_(state.flushed) {
  std::vector<const Layer*> layers;
  for (const auto& [number, layer] : state.layers) layers.push_back(&layer);
  // Layers that may be one run side by side.
  std::sort(layers.begin(), layers.end(), [](const Layer* a, const Layer* b) {
    const LsnRange any;
    const LsnRange& a_lsns = a->info.image ? any : a->info.lsns;
    const LsnRange& b_lsns = b->info.image ? any : b->info.lsns;
    return std::make_tuple(a->info.image, a_lsns.end, a_lsns.begin, a->info.first_key) <
           std::make_tuple(b->info.image, b_lsns.end, b_lsns.begin, b->info.first_key);
  });
  for (const Layer* layer : layers) {
    if (!runs_.empty() && runs_.back().fits(*layer)) {
      runs_.back().add(*layer);
    } else {
      runs_.emplace_back(*layer);
    }
  }
  std::stable_sort(runs_.begin(), runs_.end(), [](const LayerRun& a, const LayerRun& b) {
    return std::make_tuple(b.lsns.end, b.image, b.lsns.begin) < std::make_tuple(a.lsns.end, a.image, a.lsns.begin);
  });
}

void LayerMap::take_open_files(LayerMap& older) {
  std::map<std::string, std::shared_ptr<const LayerFile>> open;
  for (LayerRun& run : older.runs_) {
    for (LayerRun::Member& member : run.members()) {
      if (member.file != nullptr) open.emplace(member.layer.info.name, member.file);
    }
  }
  for (LayerRun& run : runs_) {
    for (LayerRun::Member& member : run.members()) {
      if (const auto found = open.find(member.layer.info.name); found != open.end()) member.file = found->second;
    }
  }
}

std::vector<LayerInfo> LayerMap::layers() const {
  std::vector<LayerInfo> result;
  for (const LayerRun& run : runs_) {
    for (const LayerRun::Member& member : run.members()) result.push_back(member.layer.info);
  }
  return result;
}

const LayerFile& LayerMap::open(LayerRun::Member& member) {
  if (member.file == nullptr) {
    member.file =
        std::make_shared<const LayerFile>(env_, directory_ + "/" + member.layer.info.name, member.layer, cache_);
  }
  return *member.file;
}

LayerVersion LayerMap::version_at(const LayerCursor& cursor) {
  LayerVersion version{.file = &cursor.file(), .entry = cursor.entry(), .inline_value = {}};
  if (version.entry.is_inline) {
    version.inline_value = cursor.inline_value();
    version.entry.inline_value = {};
  }
  return version;
}

Chain LayerMap::chain(const Key& key, Lsn at, Lsn floor) {
  std::vector<LayerVersion> found;
  Search(*this, at, floor, Walk::kToBase).find(key, found);
  Chain chain;
  for (auto one = found.rbegin(); one != found.rend(); ++one) {
    chain.push_back(one->read());
  }
  return chain;
}

LayerCursor& LayerMap::Search::seek(LayerRun& run, Place& place, std::size_t member, const EncodedKey& key) {
  const bool goes_on = place.cursor && place.member == member && compare(place.key, key) < 0;
  place.member = member;
  place.key = key;
  if (goes_on) {
    place.cursor->advance(key, at_);
  } else {
    place.cursor.emplace(map_->open(run.members()[member])).seek(key, at_);
  }
  return *place.cursor;
}

void LayerMap::Search::find(const Key& key, std::vector<LayerVersion>& out) {
  const EncodedKey encoded = encode_key(key);
  const std::uint64_t hash = hash_key(encoded);
  const std::size_t begin = out.size();
  // What is at or below it need not be looked at any more.
  Lsn needed_above = floor_;
  std::size_t sources = 0;
  for (std::size_t i = 0; i < places_.size(); ++i) {
    LayerRun& run = map_->runs_[i];
    if (run.lsns.end - 1 <= needed_above) break;
    if (run.lsns.begin > at_) continue;
    const std::size_t member = run.first_reaching(key);
    if (member == run.members().size() || key < run.members()[member].layer.info.first_key) continue;
    const LayerFile& file = map_->open(run.members()[member]);
    if (!file.may_contain(hash)) continue;
    file.count_lookup();
    const std::size_t before = out.size();
    LayerCursor& cursor = seek(run, places_[i], member, encoded);
    for (; cursor.valid() && cursor.entry().key == encoded; cursor.next()) {
      const IndexEntry& entry = cursor.entry();
      if (entry.lsn <= needed_above) break;
      out.push_back(version_at(cursor));
      if (walk_ == Walk::kNewest || (walk_ == Walk::kToBase && entry.base)) {
        needed_above = entry.lsn;
        break;
      }
    }
    if (out.size() != before) ++sources;
  }
  if (sources < 2) return;

  // Runs may overlap, but seldom do. A stable sort keeps an image before a delta's version with its LSN, and one
  // record's versions in their order.
  const auto first = out.begin() + static_cast<std::ptrdiff_t>(begin);
  const auto newer = [](const LayerVersion& a, const LayerVersion& b) { return a.entry.lsn > b.entry.lsn; };
  if (!std::is_sorted(first, out.end(), newer)) std::stable_sort(first, out.end(), newer);
  if (walk_ == Walk::kNewest) out.erase(first + 1, out.end());
  if (walk_ == Walk::kToBase) {
    const auto base = std::find_if(first, out.end(), [](const LayerVersion& version) { return version.entry.base; });
    if (base != out.end()) out.erase(base + 1, out.end());
  }
}

}  // namespace strata
