#include "store/verify.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

#include "store/compaction_result.h"
#include "store/manifest.h"
#include "store/verify_layer.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

// What a running server appends may be met half-written.
constexpr int kManifestReadings = 5;

[[noreturn]] void fail(const std::string& what) { throw StoreError(ErrorKind::kCorrupt, what); }

bool overlap(LsnRange a, LsnRange b) { return a.begin < b.end && b.begin < a.end; }

// What must hold between layers (doc/format.md, "A layer").
void check_together(const ManifestState& state) {
  std::vector<const Layer*> layers;
  Lsn images_end = kInvalidLsn;
  for (const auto& [number, layer] : state.layers) {
    if (layer.info.image) images_end = std::max(images_end, layer.info.lsns.end);
  }
  for (const auto& [number, layer] : state.layers) {
    if (!layer.info.image && layer.info.lsns.begin < images_end) {
      fail("layer \"" + layer.info.name + "\" begins before the images that it is applied to");
    }
    if (number >= state.next_number) fail("layer \"" + layer.info.name + "\" has a number that is not given out yet");
    if (!layer.info.image && layer.info.lsns.end - 1 > state.flushed) {
      fail("layer \"" + layer.info.name + "\" holds more than what is said to be flushed");
    }
    layers.push_back(&layer);
  }
  // Runs, newest first; within a run by key.
  std::sort(layers.begin(), layers.end(), [](const Layer* a, const Layer* b) {
    return std::make_tuple(a->info.image, b->info.lsns.end, b->info.lsns.begin, a->info.first_key) <
           std::make_tuple(b->info.image, a->info.lsns.end, a->info.lsns.begin, b->info.first_key);
  });
  for (std::size_t i = 1; i < layers.size(); ++i) {
    const LayerInfo& before = layers[i - 1]->info;
    const LayerInfo& info = layers[i]->info;
    if (before.image != info.image) continue;
    const std::string both = "layers \"" + before.name + "\" and \"" + info.name + "\"";
    if (before.lsns == info.lsns) {
      if (before.level != info.level) fail(both + " are of one run and of two levels");
      if (!(before.last_key < info.first_key)) fail(both + " are of one run and share keys");
      continue;
    }
    if (info.image) continue;
    if (overlap(before.lsns, info.lsns)) fail(both + " are of two runs and share LSNs");
    if (before.level > info.level) fail(both + " are on levels that do not rise with age");
  }
}

bool is_known_name(const std::string& name) {
  return name == kManifestName || name == kManifestTemporaryName || name == kCompactionResultName ||
         name == kOwnerName || parse_layer_name(name).has_value();
}

}  // namespace

struct Verifier::Impl {
  Impl(Env& env_in, std::string directory_in, SharedStore* shared_in, std::function<void()> pause_in)
      : env(env_in), directory(std::move(directory_in)), shared(shared_in), pause(std::move(pause_in)) {
    if (shared != nullptr) slot = shared->take_reader_slot();
  }
  ~Impl() {
    if (slot >= 0) shared->release_reader_slot(slot);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // While one is there, no layer that the manifest named after its begin goes away; without a slot it may.
  class Hold {
   public:
    explicit Hold(const Impl& impl) : impl_(impl) {
      if (impl_.slot >= 0) impl_.shared->pin_layer_map(impl_.slot);
    }
    ~Hold() {
      if (impl_.slot >= 0) impl_.shared->unpin_layer_map(impl_.slot);
    }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    const Impl& impl_;
  };

  [[nodiscard]] std::string path_of(const std::string& name) const { return directory + "/" + name; }
  VerifiedFile check_manifest();
  std::optional<VerifiedFile> next_layer();
  bool check_layer(const Layer& layer, VerifiedFile& file);
  std::optional<VerifiedFile> next_orphan();

  Env& env;
  std::string directory;
  SharedStore* shared;
  std::function<void()> pause;
  int slot = -1;
  VerifyProgress progress;
  enum class Stage { kManifest, kLayers, kOrphans } stage = Stage::kManifest;
  bool readable = false;            // the manifest
  Lsn upto = kInvalidLsn;           // what was flushed at first
  std::set<std::uint64_t> checked;  // numbers of layers
  std::vector<std::string> orphans;
};

VerifiedFile Verifier::Impl::check_manifest() {
  VerifiedFile file;
  file.name = kManifestName;
  for (int reading = 1; reading <= kManifestReadings; ++reading) {
    pause();
    file.problem.clear();
    try {
      const std::string content = read_manifest_bytes(env, directory);
      file.bytes = content.size();
      std::size_t end = 0;
      const ManifestState state = decode_manifest(as_bytes(content), path_of(file.name), &end);
      readable = true;
      upto = state.flushed;
      file.entries = state.layers.size();
      progress.bytes_total = 0;
      for (const auto& [number, layer] : state.layers) progress.bytes_total += layer.info.bytes;
      if (end != content.size()) throw_corrupt(path_of(file.name), end, "the last edit is torn or damaged");
      check_together(state);
      break;
    } catch (const StoreError& error) {
      file.problem = error.what();
    }
  }
  return file;
}

// False: the layer is no longer one of the store.
bool Verifier::Impl::check_layer(const Layer& layer, VerifiedFile& file) {
  file.name = layer.info.name;
  file.level = layer.info.level;
  file.entries = layer.info.entries;
  file.bytes = layer.info.bytes;
  const std::uint64_t before = progress.bytes_done;
  const auto read = [&](std::uint64_t bytes) {
    progress.bytes_done += bytes;
    pause();
  };
  try {
    verify_layer(env, path_of(layer.info.name), layer, read);
  } catch (const StoreError& error) {
    progress.bytes_done = before + layer.info.bytes;
    if (slot < 0 && !read_manifest(env, directory).layers.contains(layer.number)) return false;
    file.problem = error.what();
    file.damage = damage_of(env, path_of(layer.info.name), layer, pause);
  }
  return true;
}

std::optional<VerifiedFile> Verifier::Impl::next_layer() {
  for (;;) {
    pause();
    const Hold hold(*this);
    const ManifestState state = read_manifest(env, directory);
    const auto next = std::find_if(state.layers.begin(), state.layers.end(), [&](const auto& one) {
      return !checked.contains(one.first) && one.second.info.lsns.begin <= upto;
    });
    if (next == state.layers.end()) return std::nullopt;
    checked.insert(next->first);
    VerifiedFile file;
    if (check_layer(next->second, file)) return file;
  }
}

std::optional<VerifiedFile> Verifier::Impl::next_orphan() {
  if (orphans.empty()) return std::nullopt;
  VerifiedFile file;
  file.name = std::move(orphans.back());
  orphans.pop_back();
  file.problem = "the file belongs to no store";
  return file;
}

Verifier::Verifier(Env& env, std::string directory, SharedStore* shared, std::function<void()> pause)
    : impl_(std::make_unique<Impl>(env, std::move(directory), shared, std::move(pause))) {
  for (std::string& name : env.list(impl_->directory)) {
    if (!is_known_name(name)) impl_->orphans.push_back(std::move(name));
  }
  std::sort(impl_->orphans.rbegin(), impl_->orphans.rend());
  if (!env.exists(impl_->path_of(std::string(kManifestName)))) {
    throw StoreError(ErrorKind::kNotFound, "directory \"" + impl_->directory + "\" holds no store: it has no MANIFEST");
  }
}

Verifier::~Verifier() = default;

const VerifyProgress& Verifier::progress() const { return impl_->progress; }

std::optional<VerifiedFile> Verifier::next() {
  Impl& impl = *impl_;
  std::optional<VerifiedFile> file;
  if (impl.stage == Impl::Stage::kManifest) {
    file = impl.check_manifest();
    // Without a manifest nobody knows what is a layer.
    impl.stage = impl.readable ? Impl::Stage::kLayers : Impl::Stage::kOrphans;
  } else {
    if (impl.stage == Impl::Stage::kLayers) {
      file = impl.next_layer();
      if (!file) impl.stage = Impl::Stage::kOrphans;
    }
    if (!file) file = impl.next_orphan();
  }
  if (file) ++impl.progress.files_done;
  return file;
}

}  // namespace strata
