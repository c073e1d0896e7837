// Chain lengths of versions picked at random.
#include <algorithm>
#include <random>

#include "store/reader_impl.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

struct Place {
  LayerRun::Member* member;
  std::uint64_t end;  // entries of it and of the layers before
};

// Any entry of any index block: blocks are of about one size.
IndexEntry random_entry(const LayerFile& file, std::minstd_rand& random) {
  TopEntry top = file.root_entries().at(random() % file.root_entries().size());
  if (file.has_parts()) {
    const BlockCache::Content part = file.block(top.block);
    const TopEntries entries(part->view(), file.path(), top.block.offset);
    top = entries.at(random() % entries.size());
  }
  const BlockCache::Content content = file.block(top.block);
  IndexBlockCursor cursor(content->view(), file.layer().info.lsns, file.path(), top.block.offset);
  std::vector<IndexEntry> entries;
  for (cursor.seek_first(); cursor.valid(); cursor.next()) {
    entries.push_back(cursor.entry());
    entries.back().inline_value = {};
  }
  if (entries.empty()) throw_corrupt(file.path(), top.block.offset, "an index block is empty");
  return entries[random() % entries.size()];
}

}  // namespace

std::vector<Reader::ChainLength> Reader::sample_chains(std::size_t samples, std::uint64_t seed) {
  return impl_->run([&] {
    LayerMap& map = *impl_->current_map();
    std::vector<Place> places;
    std::uint64_t entries = 0;
    for (LayerRun& run : map.runs()) {
      if (run.image) continue;
      for (LayerRun::Member& member : run.members()) {
        if (member.layer.info.first_key.kind != KeyKind::kPage) continue;
        entries += member.layer.info.entries;
        places.push_back({.member = &member, .end = entries});
      }
    }
    std::vector<ChainLength> lengths;
    if (places.empty()) return lengths;

    std::minstd_rand random(static_cast<std::minstd_rand::result_type>(seed));
    std::uniform_int_distribution<std::uint64_t> any(0, entries - 1);
    std::vector<LayerVersion> chain;
    // What is no page is not counted: so many tries in all.
    for (std::size_t tries = 2 * samples; tries > 0 && lengths.size() < samples; --tries) {
      const std::uint64_t picked = any(random);
      const auto place =
          std::partition_point(places.begin(), places.end(), [&](const Place& one) { return one.end <= picked; });
      const IndexEntry entry = random_entry(map.open(*place->member), random);
      const Key key = decode_key(entry.key);
      if (key.kind != KeyKind::kPage) continue;
      chain.clear();
      LayerMap::Search(map, entry.lsn, kInvalidLsn, Walk::kToBase).find(key, chain);
      ChainLength length;
      for (const LayerVersion& version : chain) {
        if (version.entry.base) continue;
        ++length.versions;
        length.bytes += version.entry.value_bytes;
      }
      lengths.push_back(length);
    }
    return lengths;
  });
}

}  // namespace strata
