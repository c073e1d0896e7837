#include "store/garbage_collector.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <utility>

#include "store/layer_map.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr int kImageLevel = 1;
// An image layer that is smaller than this part of a full one is always written anew, so that small ones do not add up.
constexpr std::uint64_t kSmallPart = 4;
constexpr std::uint32_t kMaxId = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint8_t kMaxFork = std::numeric_limits<std::uint8_t>::max();

// Marks the layers with keys in a range.
class Touched {
 public:
  explicit Touched(const std::vector<Layer>& images) : images_(images), touched_(images.size()) {}

  void mark(const Key& first, const Key& last) {
    auto layer = std::partition_point(images_.begin(), images_.end(),
                                      [&](const Layer& one) { return one.info.last_key < first; });
    for (; layer != images_.end() && layer->info.first_key <= last; ++layer) {
      touched_[static_cast<std::size_t>(layer - images_.begin())] = true;
    }
  }
  // Everything of one directory.
  void mark_database(const Key& key) {
    for (const KeyKind kind : {KeyKind::kPage, KeyKind::kRelationSize, KeyKind::kDatabase, KeyKind::kRelationMap}) {
      const Key first{.kind = kind, .tablespace = key.tablespace, .database = key.database};
      Key last = first;
      last.relation = last.block = kMaxId;
      last.fork = kMaxFork;
      mark(first, last);
    }
  }
  void mark_fork_from(const Key& key, std::uint32_t block) {
    Key first = key;
    first.kind = KeyKind::kPage;
    first.block = block;
    Key last = first;
    last.block = kMaxId;
    mark(first, last);
  }
  [[nodiscard]] std::vector<bool> take() { return std::move(touched_); }

 private:
  const std::vector<Layer>& images_;
  std::vector<bool> touched_;
};

}  // namespace

GarbageCollector::GarbageCollector(Env& env, std::string directory, SharedStore& shared, Reader& reader,
                                   PageRebuilder& rebuilder, BlockCache& cache, const CompactorOptions& options)
    : env_(env),
      directory_(std::move(directory)),
      shared_(shared),
      reader_(reader),
      rebuilder_(rebuilder),
      cache_(cache),
      options_(options) {}

// From the indexes alone: image layers that do not stay as they are.
std::vector<bool> GarbageCollector::find_touched(const GcPlan& plan) {
  Touched touched(plan.images);
  for (const auto& layers : plan.runs) {
    std::uint64_t entries = 0;
    for (RunStream run(env_, directory_, layers, cache_); run.valid(); run.next()) {
      if (++entries % 1024 == 0) options_.pause();
      const IndexEntry& entry = run.entry();
      if (entry.lsn > cutoff_) continue;
      const Key key = decode_key(entry.key);
      if (key.kind == KeyKind::kTruncation) {
        std::uint32_t surviving = 0;
        const Value value = run.value();
        if (value.size() == sizeof surviving) std::memcpy(&surviving, value.data(), sizeof surviving);
        touched.mark_fork_from(key, surviving);
      } else if (key.kind == KeyKind::kDatabase) {
        touched.mark_database(key);
      } else if (key.kind == KeyKind::kTimeMark) {
        touched.mark({.kind = KeyKind::kTimeMark},
                     {.kind = KeyKind::kTimeMark, .tablespace = kMaxId, .database = kMaxId});
      }
      touched.mark(key, key);
    }
  }
  old_multixacts_->visit_ranges([&](const Key& first, const Key& last) { touched.mark(first, last); });
  std::vector<bool> result = touched.take();
  for (std::size_t i = 0; i < plan.images.size(); ++i) {
    if (plan.images[i].info.bytes < options_.layer_bytes / kSmallPart) result[i] = true;
  }
  return result;
}

void GarbageCollector::add_image(const Key& key, Lsn lsn, EntryType type, std::string_view value) {
  images_->add({.key = key, .lsn = lsn, .type = type, .base = true, .value = as_bytes(value)}, 0);
}

void GarbageCollector::add_image(const Key& key, const Found& found) {
  add_image(key, found.version.entry.lsn, found.version.entry.type, found.version.value());
}

// What is above the cutoff goes on as it is, the rest waits in versions_.
void GarbageCollector::copy_key(MergeCursor& input, const EncodedKey& encoded, RunWriter& newer) {
  bool has_base = false;
  for (; input.valid() && input.entry().key == encoded; input.next()) {
    const IndexEntry& entry = input.entry();
    if (entry.lsn > cutoff_) {
      const Value value = input.value();
      newer.add({.key = decode_key(encoded),
                 .lsn = entry.lsn,
                 .type = entry.type,
                 .base = entry.base,
                 .value = as_bytes(value)},
                entry.sequence);
    } else if (!has_base) {
      has_base = entry.base;
      Found found{.file = input.file(), .version = {.file = input.file().get(), .entry = entry, .inline_value = {}}};
      if (entry.is_inline) found.version.inline_value = input.value();
      found.version.entry.inline_value = {};
      versions_.push_back(std::move(found));
    }
  }
}

void GarbageCollector::collect_page(const Key& key) {
  const bool is_page = key.kind == KeyKind::kPage;
  const Lsn floor = is_page ? states_->incarnations().floor_at(key, cutoff_) : kInvalidLsn;
  std::erase_if(versions_, [&](const Found& one) { return one.version.entry.lsn <= floor; });
  const bool has_base = !versions_.empty() && versions_.back().version.entry.base;
  if (has_base && versions_.size() == 1) {
    const EntryType type = versions_.front().version.entry.type;
    if (type == EntryType::kImage || type == EntryType::kUnreconstructable) {
      add_image(key, versions_.front());
      return;
    }
  }
  std::optional<PageState> base;
  if (is_page && !has_base) base = states_->copied_base(key, cutoff_, floor);
  if (versions_.empty() && !base) return;

  PageState state;
  if (versions_.empty() || (base && base->unreconstructable)) {
    state = std::move(*base);
  } else if (!has_base && !base && !applies_without_base(versions_.back().version.entry.type)) {
    state.unreconstructable = true;
    state.bytes = "it has changes but no page to apply them to";
  } else {
    state = states_->rebuild(key, kInvalidLsn, [&](PageRebuilder& rebuilder) {
      if (base) rebuilder.apply({.lsn = base->lsn, .type = EntryType::kImage, .base = true, .value = base->bytes});
      for (auto one = versions_.rbegin(); one != versions_.rend(); ++one) rebuilder.apply(one->version.read());
    });
  }
  const Lsn lsn = versions_.empty() ? base->lsn : versions_.front().version.entry.lsn;
  add_image(key, lsn, state.unreconstructable ? EntryType::kUnreconstructable : EntryType::kImage, state.bytes);
}

void GarbageCollector::collect_value(const Key& key) {
  const Found* newest = versions_.empty() ? nullptr : &versions_.front();
  switch (key.kind) {
    case KeyKind::kTruncation:
      // What it hid is gone.
      return;
    case KeyKind::kDatabase: {
      // A copied one has all of its own now, and one that was dropped has nothing. That one came into being through WAL
      // is still asked for; it has a map since then.
      const IndexEntry& event = newest->version.entry;
      Key map = key;
      map.kind = KeyKind::kRelationMap;
      if (event.value_bytes == 0 && reader_.newest(map, kMaxLsn, event.lsn - 1)) add_image(key, *newest);
      return;
    }
    case KeyKind::kRelationSize: {
      const DatabaseEvent event = states_->incarnations().database_event_at(key, cutoff_);
      if (newest != nullptr && newest->version.entry.lsn > event.lsn) {
        if (newest->version.entry.value_bytes != 0) add_image(key, *newest);
      } else if (const auto blocks = copied_->copied_size(key)) {
        add_image(key, event.lsn, EntryType::kValue,
                  std::string(reinterpret_cast<const char*>(&*blocks), sizeof *blocks));
      }
      return;
    }
    case KeyKind::kRelationMap:
      // A copied database's map is written at the LSN of the copy itself.
      if (newest->version.entry.lsn >= states_->incarnations().database_event_at(key, cutoff_).lsn)
        add_image(key, *newest);
      return;
    case KeyKind::kMultiXact:
      if (!old_multixacts_->contains(key)) add_image(key, *newest);
      return;
    case KeyKind::kTimeMark:
      // The newest one says what the last commit before the horizon was. Marks ascend in time and LSN together.
      time_mark_.emplace(key, *newest);
      return;
    default:
      add_image(key, *newest);
      return;
  }
}

void GarbageCollector::collect_key(const Key& key) {
  if (time_mark_ && key.kind != KeyKind::kTimeMark) {
    add_image(time_mark_->first, time_mark_->second);
    time_mark_.reset();
  }
  if (holds_pages(key.kind)) {
    collect_page(key);
  } else if (key.kind == KeyKind::kRelationSize || !versions_.empty()) {
    collect_value(key);
  }
  versions_.clear();
}

ManifestEdit GarbageCollector::run(const GcPlan& plan, const OldMultixacts& old_multixacts, OutputFiles& files,
                                   Reservoir<Key>& samples) {
  cutoff_ = plan.cutoff;
  old_multixacts_ = &old_multixacts;
  states_.emplace(reader_, rebuilder_, cutoff_);
  copied_.emplace(reader_, cutoff_);

  ManifestEdit edit;
  Lsn begin = cutoff_;
  std::vector<std::unique_ptr<RunStream>> streams;
  for (const auto& layers : plan.runs) {
    for (const Layer& layer : layers) {
      edit.removed.push_back(layer.number);
      begin = std::min(begin, layer.info.lsns.begin);
    }
    streams.push_back(std::make_unique<RunStream>(env_, directory_, layers, cache_));
  }
  std::vector<Layer> rewritten;
  std::vector<Key> barriers;
  const std::vector<bool> touched = find_touched(plan);
  for (std::size_t i = 0; i < plan.images.size(); ++i) {
    const Layer& layer = plan.images[i];
    if (!touched[i]) {
      barriers.push_back(layer.info.first_key);
      continue;
    }
    edit.removed.push_back(layer.number);
    begin = std::min(begin, layer.info.lsns.begin);
    rewritten.push_back(layer);
  }
  streams.push_back(std::make_unique<RunStream>(env_, directory_, rewritten, cache_));

  RunWriter images(env_, directory_, shared_, files, options_.store.for_baseline(), options_.layer_bytes,
                   {.image = true, .level = kImageLevel, .lsns = {.begin = begin, .end = cutoff_ + 1}},
                   std::move(barriers));
  RunWriter::Form newer_form{.image = false, .level = 1, .lsns = {}};
  if (plan.split) {
    const LayerInfo& info = plan.split->front().info;
    // It is the oldest run now; files of level 0 are the Writer's own.
    newer_form = {
        .image = false, .level = std::max(info.level, 1), .lsns = {.begin = cutoff_ + 1, .end = info.lsns.end}};
  }
  RunWriter newer(env_, directory_, shared_, files, options_.store, options_.layer_bytes, newer_form);
  images_ = &images;

  MergeCursor input(std::move(streams));
  while (input.valid() || copied_->valid()) {
    options_.pause();
    const bool only_copied = !input.valid() || (copied_->valid() && copied_->key() < decode_key(input.entry().key));
    const Key key = only_copied ? copied_->key() : decode_key(input.entry().key);
    if (!only_copied) {
      const EncodedKey encoded = input.entry().key;
      copy_key(input, encoded, newer);
    }
    if (copied_->valid() && copied_->key() == key) copied_->next();
    samples.offer(key);
    collect_key(key);
  }
  if (time_mark_) add_image(time_mark_->first, time_mark_->second);
  time_mark_.reset();

  edit.added = images.finish();
  for (const Layer& layer : newer.finish()) edit.added.push_back(layer);
  env_.sync_directory(directory_);
  return edit;
}

}  // namespace strata
