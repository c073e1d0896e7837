#include "store/compactor.h"

#include <algorithm>
#include <random>
#include <utility>

#include "store/flush_layer.h"
#include "store/compaction_result.h"
#include "store/layer_map.h"
#include "store/merge_cursor.h"
#include "store/merge_plan.h"
#include "store/output_files.h"
#include "store/replacement_check.h"
#include "store/reservoir.h"
#include "store/run_writer.h"
#include "store/garbage_collector.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

using ResultState = SharedStore::ResultState;

}  // namespace

struct Compactor::Impl {
  Impl(Env& env_in, std::string directory_in, SharedStore& shared_in, PageRebuilder& rebuilder_in,
       CompactorOptions options_in)
      : env(env_in),
        directory(std::move(directory_in)),
        shared(shared_in),
        rebuilder(rebuilder_in),
        options(std::move(options_in)),
        reader(env, directory, &shared, {.cache_bytes = options.memory_bytes / 4}),
        cache(options.memory_bytes / 4) {
    options.store.sample_bytes = std::min(options.store.sample_bytes, options.memory_bytes / 16);
  }

  MergeResult run(const MergePlan& plan, const ManifestState& state);
  GcResult run(const GcPlan& plan, const ManifestState& state, const Horizon& horizon,
               const OldMultixacts& old_multixacts);
  void submit(const ManifestEdit& edit, OutputFiles& files);
  template <class Look>
  void look_at_outcome(const ManifestState& state, const ManifestEdit& edit, Look&& look);
  template <class Work, class GiveUp>
  auto attempt(Work&& work, GiveUp&& give_up);
  std::vector<Layer> write(const MergePlan& plan, OutputFiles& files, ChainRewriter& rewriter,
                           Reservoir<Sample>& samples);
  void answer();

  Env& env;
  std::string directory;
  SharedStore& shared;
  PageRebuilder& rebuilder;
  CompactorOptions options;
  Reader reader;
  BlockCache cache;  // of the inputs
  std::vector<LsnRange> broken;
  bool idle = false;               // the merge in work is not urgent
  bool idle_merge_broken = false;  // of merges that are not urgent
  bool gc_broken = false;
  std::minstd_rand random;
};

// Shows `look` the layers as they will be with `edit`.
template <class Look>
void Compactor::Impl::look_at_outcome(const ManifestState& state, const ManifestEdit& edit, Look&& look) {
  ManifestState after = state;
  after.apply(edit);
  BlockCache output_cache(options.memory_bytes / 8);
  LayerMap outputs(env, directory, after, output_cache);
  look(outputs);
}

// Lets go of what `work` held. Where it meets damage, `give_up` sees to it that the same is not tried again.
template <class Work, class GiveUp>
auto Compactor::Impl::attempt(Work&& work, GiveUp&& give_up) {
  const auto forget = [&] {
    cache.clear();
    shared.set_merge_floor(0);
  };
  try {
    auto result = work();
    cache.clear();
    return result;
  } catch (const StoreError& error) {
    forget();
    if (error.kind() == ErrorKind::kCorrupt) give_up();
    throw;
  } catch (...) {
    forget();
    throw;
  }
}

// Merges all versions into layers of the next level.
std::vector<Layer> Compactor::Impl::write(const MergePlan& plan, OutputFiles& files, ChainRewriter& rewriter,
                                          Reservoir<Sample>& samples) {
  std::vector<std::unique_ptr<RunStream>> streams;
  for (const auto& layers : plan.runs) streams.push_back(std::make_unique<RunStream>(env, directory, layers, cache));
  MergeCursor input(std::move(streams));
  StoreOptions store = options.store;
  if (plan.level > 1) store.compression_level = options.later_compression_level;
  RunWriter output(env, directory, shared, files, store, options.layer_bytes,
                   {.image = false, .level = plan.level, .lsns = plan.lsns});
  const std::size_t max_chunk = options.memory_bytes / 8;

  std::vector<MergedVersion> versions;
  while (input.valid()) {
    const EncodedKey encoded = input.entry().key;
    const Key key = decode_key(encoded);
    // A key with more versions than memory takes is rewritten in parts, newest first.
    while (input.valid() && input.entry().key == encoded) {
      options.pause();
      versions.clear();
      std::size_t bytes = 0;
      while (input.valid() && input.entry().key == encoded) {
        const IndexEntry& entry = input.entry();
        if (bytes > max_chunk && entry.lsn != versions.back().version.lsn) break;
        versions.push_back(
            {.sequence = entry.sequence,
             .version = {.lsn = entry.lsn, .type = entry.type, .base = entry.base, .value = input.value()}});
        bytes += sizeof(MergedVersion) + entry.value_bytes;
        input.next();
      }
      const bool more = input.valid() && input.entry().key == encoded;
      samples.offer({.key = key, .at = versions[random() % versions.size()].version.lsn});
      std::reverse(versions.begin(), versions.end());
      rewriter.rewrite(key, versions, more);
      add_newest_first(key, versions, output);
    }
  }
  std::vector<Layer> outputs = output.finish();
  env.sync_directory(directory);
  return outputs;
}

MergeResult Compactor::Impl::run(const MergePlan& plan, const ManifestState& state) {
  MergeResult result;
  result.level = plan.level;
  ManifestEdit edit;
  for (const auto& layers : plan.runs) {
    for (const Layer& layer : layers) {
      edit.removed.push_back(layer.number);
      result.input_bytes += layer.info.bytes;
    }
  }
  result.inputs = edit.removed.size();

  shared.set_merge_floor(shared.next_layer_number());
  OutputFiles files(env, directory);
  Reservoir<Sample> samples(options.samples, random);
  {
    Incarnations incarnations(reader, plan.lsns.end - 1);
    ChainRewriter rewriter(reader, incarnations, rebuilder, options.bounds, options.pause);
    edit.added = write(plan, files, rewriter, samples);
    result.chains = rewriter.counters();
  }
  result.outputs = edit.added.size();
  for (const Layer& layer : edit.added) result.output_bytes += layer.info.bytes;
  look_at_outcome(state, edit, [&](LayerMap& outputs) {
    check_merge(reader, outputs, rebuilder, plan.lsns.end - 1, samples.kept(), options.pause);
  });
  submit(edit, files);
  return result;
}

void Compactor::Impl::submit(const ManifestEdit& edit, OutputFiles& files) {
  write_compaction_result(env, directory, edit);
  files.keep();
  env.reached(edit.horizon ? "gc-request" : "merge-request");
  shared.set_result_state(ResultState::kRequested);
  env.reached(edit.horizon ? "gc-requested" : "merge-requested");
}

GcResult Compactor::Impl::run(const GcPlan& plan, const ManifestState& state, const Horizon& horizon,
                              const OldMultixacts& old_multixacts) {
  env.reached("gc-planned");
  shared.set_merge_floor(shared.next_layer_number());
  OutputFiles files(env, directory);
  Reservoir<Key> samples(options.samples, random);
  ManifestEdit edit = GarbageCollector(env, directory, shared, reader, rebuilder, cache, options)
                          .run(plan, old_multixacts, files, samples);
  edit.horizon = horizon;

  GcResult result{.cutoff = plan.cutoff,
                  .inputs = edit.removed.size(),
                  .outputs = edit.added.size(),
                  .input_bytes = 0,
                  .output_bytes = 0};
  for (const std::uint64_t number : edit.removed) result.input_bytes += state.layers.at(number).info.bytes;
  for (const Layer& layer : edit.added) result.output_bytes += layer.info.bytes;
  look_at_outcome(state, edit, [&](LayerMap& outputs) {
    check_gc(reader, outputs, rebuilder, plan.cutoff, state.flushed, old_multixacts, samples.kept(), options.pause);
  });
  submit(edit, files);
  return result;
}

// Takes note of what the writer did with the last merge.
void Compactor::Impl::answer() {
  const ResultState state = shared.result_state();
  if (state != ResultState::kApplied && state != ResultState::kRefused) return;
  shared.set_merge_floor(0);
  shared.set_result_state(ResultState::kNone);
}

Compactor::Compactor(Env& env, std::string directory, SharedStore& shared, PageRebuilder& rebuilder,
                     CompactorOptions options)
    : impl_(std::make_unique<Impl>(env, std::move(directory), shared, rebuilder, std::move(options))) {
  impl_->answer();
  if (shared.result_state() == ResultState::kNone && shared.merge_floor() != 0) {
    shared.set_merge_floor(0);
    shared.set_result_state(ResultState::kOrphans);
  }
}

Compactor::~Compactor() = default;

bool Compactor::waits_for_writer() const {
  const ResultState state = impl_->shared.result_state();
  return state == ResultState::kRequested || state == ResultState::kOrphans;
}

bool Compactor::is_idle_merge() const { return impl_->idle; }

std::optional<MergeResult> Compactor::merge(bool idle) {
  Impl& impl = *impl_;
  impl.idle = false;
  if (waits_for_writer()) return std::nullopt;
  impl.answer();
  const ManifestState state = read_manifest(impl.env, impl.directory);
  const auto is_broken = [&](LsnRange lsns) {
    return std::any_of(impl.broken.begin(), impl.broken.end(),
                       [&](LsnRange range) { return range.begin <= lsns.begin && lsns.end <= range.end; });
  };
  const auto fan_in = [&](int level) {
    return level == kFlushedLevel ? impl.options.flushed_fan_in : impl.options.fan_in;
  };
  std::optional<MergePlan> plan = plan_merge(state, fan_in, impl.options.max_inputs, is_broken);
  const bool urgent = plan.has_value();
  if (!urgent && idle && !impl.idle_merge_broken) {
    plan = plan_idle_merge(state, 2 * impl.options.max_inputs, is_broken);
  }
  if (!plan) return std::nullopt;
  impl.idle = !urgent;
  return impl.attempt([&] { return impl.run(*plan, state); },
                      [&] {
                        // What is not urgent takes in so much that its range must not keep urgent merges away.
                        if (urgent) {
                          impl.broken.push_back(plan->lsns);
                        } else {
                          impl.idle_merge_broken = true;
                        }
                      });
}

std::optional<GcResult> Compactor::collect_garbage(Lsn cutoff, const Horizon& horizon,
                                                   std::optional<std::uint32_t> oldest_multixact) {
  Impl& impl = *impl_;
  impl.idle = false;
  if (waits_for_writer()) return std::nullopt;
  impl.answer();
  const ManifestState state = read_manifest(impl.env, impl.directory);
  if (cutoff > horizon.lsn || cutoff > state.flushed || horizon.lsn < state.horizon.lsn) {
    throw StoreError(ErrorKind::kInvalid,
                     "the cutoff of garbage collection cannot be above the horizon, or above what is in layers");
  }
  const std::optional<GcPlan> plan = plan_gc(state, cutoff);
  if (!plan || impl.gc_broken) return std::nullopt;
  const OldMultixacts old_multixacts(oldest_multixact);
  return impl.attempt([&] { return impl.run(*plan, state, horizon, old_multixacts); }, [&] { impl.gc_broken = true; });
}

}  // namespace strata
