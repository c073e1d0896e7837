// The Writer: put, publish, install compaction results. writer_flush.cc has what becomes of the memtable,
// baseline_writer.h the image layers of a baseline.
#include "store/compaction_result.h"
#include "store/writer_impl.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

[[noreturn]] void throw_invalid(const char* message) { throw StoreError(ErrorKind::kInvalid, message); }

}  // namespace

// What the merge has written is left as orphans. The answer comes last: after it another merge may begin.
void Writer::Impl::refuse_result() {
  shared.set_merge_floor(0);
  try {
    remove_compaction_result(env, manifest.directory());
    manifest.find_orphans();
    shared.raise_layer_map_version();
  } catch (const StoreError&) {
    // The next search for orphans finds the files.
  }
  shared.set_result_state(SharedStore::ResultState::kRefused);
}

// The request stays until it is answered: a writer that comes after one which died meets it again.
bool Writer::Impl::install_result() {
  bool is_gc = false;
  try {
    ManifestEdit edit = read_compaction_result(env, manifest.directory());
    const auto& layers = manifest.state().layers;
    const bool done = std::all_of(edit.added.begin(), edit.added.end(),
                                  [&](const Layer& layer) { return layers.contains(layer.number); }) &&
                      std::none_of(edit.removed.begin(), edit.removed.end(),
                                   [&](std::uint64_t number) { return layers.contains(number); });
    is_gc = edit.horizon.has_value();
    env.reached(is_gc ? "gc-apply" : "merge-apply");
    if (!done) {
      const std::vector<Layer> added = edit.added;
      manifest.apply(std::move(edit));
      ++counters.merges;
      for (const Layer& layer : added) counters.merge_bytes += layer.info.bytes;
    }
    env.reached(is_gc ? "gc-applied" : "merge-applied");
  } catch (const StoreError& error) {
    refuse_result();
    if (error.kind() == ErrorKind::kIo || error.kind() == ErrorKind::kNoSpace) throw;
    return false;
  }
  try {
    remove_compaction_result(env, manifest.directory());
  } catch (const StoreError&) {
    // The next merge writes it anew.
  }
  shared.set_merge_floor(0);
  shared.set_result_state(SharedStore::ResultState::kApplied);
  env.reached(is_gc ? "gc-answered" : "merge-answered");
  return true;
}

void Writer::create_store(Env& env, const std::string& directory, const StoreIdentity& identity) {
  ManifestOwner::create(env, directory, identity);
}

void Writer::destroy_store(Env& env, const std::string& directory) { ManifestOwner::destroy(env, directory); }

bool Writer::store_exists(Env& env, const std::string& directory) { return ManifestOwner::exists(env, directory); }

Writer::Writer(Env& env, std::string directory, SharedStore& shared, StoreOptions options, FlusherHooks hooks)
    : impl_(std::make_unique<Impl>(env, std::move(directory), shared, options, std::move(hooks))) {}

Writer::~Writer() = default;

const StoreIdentity& Writer::identity() const { return impl_->manifest.state().identity; }
Horizon Writer::horizon() const { return impl_->manifest.state().horizon; }
Lsn Writer::flushed_lsn() const { return impl_->manifest.state().flushed; }
const std::vector<JoinProof>& Writer::proofs() const { return impl_->manifest.state().proofs; }

void Writer::add_proof() {
  ManifestEdit edit;
  impl_->prove(edit);
  impl_->manifest.apply(std::move(edit));
}

std::vector<LayerInfo> Writer::layers() const {
  std::vector<LayerInfo> result;
  for (const auto& [number, layer] : impl_->manifest.state().layers) result.push_back(layer.info);
  return result;
}

const WriteCounters& Writer::counters() const { return impl_->counters; }

void Writer::put(std::span<const Entry> entries, Lsn end) {
  Impl& impl = *impl_;
  if (impl.baseline != nullptr) throw_invalid("put() while a baseline is being taken");
  if (end < impl.last_end || end <= impl.shared.visible_lsn()) throw_invalid("put() of a record that is past");
  for (const Entry& entry : entries) {
    if (entry.lsn != end) throw_invalid("put() of a version with an LSN that is not the record's");
    if (entry.value.size() > kMaxValueBytes) throw_invalid("put() of a value that is too long");
  }
  const bool same_record = end == impl.last_end;
  if (!impl.has_room(entries)) {
    publish(std::max(same_record ? impl.boundary : impl.last_end, impl.shared.visible_lsn()));
    impl.finish_flush(false);
    impl.start_flush();
  }
  if (!same_record) {
    impl.boundary = impl.last_end;
    impl.last_end = end;
    impl.sequence = 0;
  }
  if (!impl.has_room(entries)) {
    impl.put_past_memtable(entries, end);
    return;
  }
  if (!entries.empty()) impl.first_put = std::min(impl.first_put, end);
  const std::uint32_t bound = impl.options.memtable_chain;
  for (const Entry& entry : entries) {
    const std::uint32_t records = impl.shared.memtable(impl.active).add(entry, impl.sequence++);
    if (records >= bound && records % bound == 0 && holds_pages(entry.key.kind)) impl.long_chains.insert(entry.key);
  }
}

std::optional<Key> Writer::take_long_chain(KeyKind kind) {
  std::set<Key>& keys = impl_->long_chains;
  const auto first = keys.lower_bound({.kind = kind});
  if (first == keys.end() || first->kind != kind) return std::nullopt;
  return keys.extract(first).value();
}

bool Writer::put_image(const Key& key, Lsn lsn, std::string_view page) {
  Memtable& table = impl_->shared.memtable(impl_->active);
  Memtable::Cursor newest(table);
  newest.seek(key, kMaxLsn);
  if (!newest.valid() || newest.key() != key || newest.lsn() != lsn) return false;
  if (Memtable::space_for(page.size()) > table.free_bytes()) return false;
  table.add({.key = key, .lsn = lsn, .type = EntryType::kImage, .base = true, .value = as_bytes(page)},
            newest.sequence() + 1);
  return true;
}

void Writer::publish(Lsn end) {
  if (impl_->baseline != nullptr) throw_invalid("publish() while a baseline is being taken");
  if (end < impl_->shared.visible_lsn()) throw_invalid("publish() of an LSN that is past");
  impl_->shared.set_visible_lsn(end);
}

void Writer::flush() {
  if (impl_->baseline != nullptr) throw_invalid("flush() while a baseline is being taken");
  impl_->flush();
}

void Writer::start_flush() {
  if (impl_->baseline != nullptr) throw_invalid("flush() while a baseline is being taken");
  if (!impl_->immutable) impl_->start_flush();
}

bool Writer::serve_flusher() {
  if (!impl_->immutable) return false;
  return impl_->serve_flush(false);
}

bool Writer::serve_compactor() {
  using ResultState = SharedStore::ResultState;
  Impl& impl = *impl_;
  // A compactor plans with the manifest that is on disk.
  impl.manifest.settle();
  const ResultState state = impl.shared.result_state();
  bool changed = false;
  if (state == ResultState::kOrphans) {
    impl.manifest.find_orphans();
    impl.shared.raise_layer_map_version();
    impl.shared.set_result_state(ResultState::kNone);
  } else if (state == ResultState::kRequested) {
    changed = impl.install_result();
  }
  impl.manifest.remove_obsolete_files();
  return changed;
}

void Writer::begin_baseline(Lsn lsn) {
  Impl& impl = *impl_;
  if (impl.baseline != nullptr) throw_invalid("a baseline is being taken already");
  if (impl.manifest.state().horizon.lsn != kInvalidLsn) throw_invalid("the store has a baseline already");
  if (impl.last_end != kInvalidLsn || impl.shared.visible_lsn() != kInvalidLsn) {
    throw_invalid("begin_baseline() after put()");
  }
  if (lsn == kInvalidLsn) throw_invalid("begin_baseline() without an LSN");
  impl.baseline = std::make_unique<BaselineWriter>(impl.env, impl.manifest, lsn, impl.options);
}

void Writer::add_baseline(const Entry& entry) {
  if (impl_->baseline == nullptr) throw_invalid("add_baseline() without begin_baseline()");
  try {
    impl_->baseline->add(entry);
  } catch (const StoreError& error) {
    if (error.kind() != ErrorKind::kInvalid) impl_->abandon_baseline();
    throw;
  }
}

std::uint64_t Writer::baseline_bytes() const { return impl_->baseline == nullptr ? 0 : impl_->baseline->bytes(); }

void Writer::finish_baseline(const Horizon& horizon) {
  Impl& impl = *impl_;
  if (impl.baseline == nullptr) throw_invalid("finish_baseline() without begin_baseline()");
  if (horizon.lsn < impl.baseline->lsn()) throw_invalid("a horizon before its baseline");
  const Lsn lsn = impl.baseline->lsn();
  ManifestEdit edit;
  edit.horizon = horizon;
  edit.flushed = lsn;
  impl_->prove(edit);
  try {
    edit.added = impl.baseline->finish();
  } catch (const StoreError&) {
    impl.abandon_baseline();
    throw;
  }
  // From here on the files are the manifest owner's, even when this throws.
  impl.baseline.reset();
  impl.manifest.apply(std::move(edit));
  impl.last_end = impl.boundary = lsn;
  impl.shared.set_visible_lsn(lsn);
}

}  // namespace strata
