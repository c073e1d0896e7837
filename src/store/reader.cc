#include <algorithm>
#include <tuple>

#include "store/reader_impl.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kManyKeys = 8;

// A value that is in a value block, and the version that it belongs to.
struct ValueWanted {
  const LayerFile* file;
  IndexEntry entry;
  Version* version;
};

// Each block is decoded once, whatever the size of the cache. What one reading of many keys takes is not kept there.
void read_values(std::vector<ValueWanted>& wanted, bool of_many_keys) {
  std::sort(wanted.begin(), wanted.end(), [](const ValueWanted& a, const ValueWanted& b) {
    return std::tie(a.file, a.entry.block.offset) < std::tie(b.file, b.entry.block.offset);
  });
  const LayerFile* file = nullptr;
  std::uint64_t offset = 0;
  BlockCache::Content content;
  for (const ValueWanted& one : wanted) {
    if (content == nullptr || one.file != file || one.entry.block.offset != offset) {
      file = one.file;
      offset = one.entry.block.offset;
      content = of_many_keys ? file->next_block(one.entry.block) : file->block(one.entry.block, one.entry.value_bytes);
    }
    one.version->value = Value(content, file->value_in(*content, one.entry));
  }
}

}  // namespace

MemtableVersion copy_version(const Entry& entry, std::uint32_t sequence) {
  return {.version = version_of(entry), .sequence = sequence, .in_wal = entry.in_wal};
}

void MemtableVersion::complete(WalValuesOnDemand& wal) {
  if (!in_wal) return;
  std::string value;
  wal.read(as_bytes(version.value), value);
  version.value = std::move(value);
  in_wal = false;
}

void collect_versions(const Memtable& memtable, const Key& key, Lsn at, Lsn floor, Walk walk,
                      std::vector<MemtableVersion>& out) {
  Memtable::Cursor cursor(memtable);
  for (cursor.seek(key, at); cursor.valid() && cursor.key() == key && cursor.lsn() > floor; cursor.next()) {
    const Entry entry = cursor.entry();
    out.push_back(copy_version(entry, cursor.sequence()));
    if (walk == Walk::kNewest || (walk == Walk::kToBase && entry.base)) return;
  }
}

void merge_versions(std::vector<MemtableVersion>& versions, Lsn flushed, Walk walk) {
  std::erase_if(versions, [&](const MemtableVersion& one) { return one.version.lsn <= flushed; });
  std::sort(versions.begin(), versions.end(), [](const MemtableVersion& a, const MemtableVersion& b) {
    return std::tie(b.version.lsn, b.sequence) < std::tie(a.version.lsn, a.sequence);
  });
  if (walk == Walk::kAll) return;
  const auto last = std::find_if(versions.begin(), versions.end(),
                                 [&](const MemtableVersion& one) { return walk == Walk::kNewest || one.version.base; });
  if (last != versions.end()) versions.erase(last + 1, versions.end());
}

Reader::Impl::Impl(Env& env_in, std::string directory_in, SharedStore* shared_in, const ReaderOptions& options)
    : env(env_in), directory(std::move(directory_in)), shared(shared_in), cache(options.cache_bytes) {
  if (shared != nullptr) slot = shared->take_reader_slot();
  try {
    run([&] { return current_map(); });
  } catch (...) {
    if (slot >= 0) shared->release_reader_slot(slot);
    throw;
  }
}

Reader::Impl::~Impl() {
  if (slot >= 0) shared->release_reader_slot(slot);
}

std::shared_ptr<LayerMap> Reader::Impl::current_map() {
  if (shared == nullptr && map != nullptr) return map;
  // A map that is as old as the slot, or newer, has its files; between calls the slot held nothing.
  const std::uint64_t version = shared == nullptr ? 0 : shared->layer_map_version();
  if (slot >= 0 && map != nullptr && map_version == version) return map;
  auto next = std::make_shared<LayerMap>(env, directory, read_manifest(env, directory), cache);
  if (slot >= 0 && map != nullptr) next->take_open_files(*map);
  search.reset();
  map = next;
  map_version = version;
  return map;
}

std::vector<Chain> Reader::Impl::read(std::span<const Key> keys, Lsn at, Lsn floor, Walk walk) {
  std::vector<std::vector<MemtableVersion>> recent(keys.size());
  const View view = this->view(
      at,
      [&] {
        for (auto& versions : recent) versions.clear();
      },
      [&](const Memtable& memtable, Lsn upto) {
        for (std::size_t i = 0; i < keys.size(); ++i) {
          collect_versions(memtable, keys[i], upto, floor, walk, recent[i]);
        }
      });

  std::vector<Chain> chains(keys.size());
  WalValuesOnDemand wal(env);
  std::vector<ValueWanted> wanted;
  std::vector<LayerVersion> older;
  // One that an exception meets is not used again.
  std::optional<LayerMap::Search> search;
  if (view.map == map) search.swap(this->search);
  if (!search || !search->is_for(view.at, floor, walk)) search.emplace(*view.map, view.at, floor, walk);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    merge_versions(recent[i], view.map->flushed(), walk);
    const bool complete =
        !recent[i].empty() && (walk == Walk::kNewest || (walk == Walk::kToBase && recent[i].back().version.base));
    older.clear();
    if (!complete) search->find(keys[i], older);

    Chain& chain = chains[i];
    chain.reserve(older.size() + recent[i].size());
    std::for_each(older.rbegin(), older.rend(), [&](LayerVersion& version) {
      chain.push_back({.lsn = version.entry.lsn,
                       .type = version.entry.type,
                       .base = version.entry.base,
                       .value = std::move(version.inline_value)});
      if (!version.entry.is_inline) {
        wanted.push_back({.file = version.file, .entry = version.entry, .version = &chain.back()});
      }
    });
    std::for_each(recent[i].rbegin(), recent[i].rend(), [&](MemtableVersion& version) {
      version.complete(wal);
      chain.push_back(std::move(version.version));
    });
  }
  read_values(wanted, keys.size() >= kManyKeys);
  if (view.map == map) this->search = std::move(search);
  return chains;
}

Reader::Reader(Env& env, std::string directory, SharedStore* shared, ReaderOptions options)
    : impl_(std::make_unique<Impl>(env, std::move(directory), shared, options)) {}

Reader::~Reader() = default;

Horizon Reader::horizon() {
  return impl_->run([&] { return impl_->current_map()->horizon(); });
}
Lsn Reader::flushed_lsn() {
  return impl_->run([&] { return impl_->current_map()->flushed(); });
}
StoreIdentity Reader::identity() {
  return impl_->run([&] { return impl_->current_map()->identity(); });
}
std::vector<LayerInfo> Reader::layers() {
  return impl_->run([&] { return impl_->current_map()->layers(); });
}

const ReadCounters& Reader::counters() const { return impl_->cache.counters(); }
void Reader::mark_layers() { impl_->cache.mark_layers(); }

Chain Reader::chain(const Key& key, Lsn at, Lsn floor) {
  return std::move(impl_->run([&] { return impl_->read({&key, 1}, at, floor, Walk::kToBase); }).front());
}

void Reader::chains(std::span<const Key> keys, Lsn at, Lsn floor,
                    const std::function<void(std::size_t, Chain&&)>& visit) {
  std::vector<Chain> chains = impl_->run([&] { return impl_->read(keys, at, floor, Walk::kToBase); });
  for (std::size_t i = 0; i < chains.size(); ++i) visit(i, std::move(chains[i]));
}

std::optional<Version> Reader::newest(const Key& key, Lsn at, Lsn floor) {
  std::vector<Chain> chains = impl_->run([&] { return impl_->read({&key, 1}, at, floor, Walk::kNewest); });
  if (chains.front().empty()) return std::nullopt;
  return std::move(chains.front().front());
}

void Reader::history(const Key& key, Lsn at, Lsn floor, const std::function<bool(const Version&)>& visit) {
  Impl& impl = *impl_;
  // The visitor may call the Reader again, while the files of `set` are still wanted here.
  const Impl::Use use(impl);
  std::vector<MemtableVersion> recent;
  std::vector<LayerVersion> older;
  std::shared_ptr<LayerMap> map;
  impl.run([&] {
    older.clear();
    const View view = impl.view(
        at, [&] { recent.clear(); },
        [&](const Memtable& memtable, Lsn upto) { collect_versions(memtable, key, upto, floor, Walk::kAll, recent); });
    merge_versions(recent, view.map->flushed(), Walk::kAll);
    WalValuesOnDemand wal(impl.env);
    for (MemtableVersion& one : recent) one.complete(wal);
    map = view.map;
    LayerMap::Search(*map, view.at, floor, Walk::kAll).find(key, older);
  });

  for (const MemtableVersion& one : recent) {
    if (!visit(one.version)) return;
  }
  for (const LayerVersion& one : older) {
    if (!visit(one.read())) return;
  }
}

}  // namespace strata
