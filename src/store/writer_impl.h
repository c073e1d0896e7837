// What the parts of the Writer share.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "store/baseline_writer.h"
#include "store/manifest_owner.h"
#include "store/layer_writer.h"
#include "store/store.h"

namespace strata {

struct Writer::Impl {
  Impl(Env& env_in, std::string directory, SharedStore& shared_in, const StoreOptions& options_in,
       FlusherHooks hooks_in)
      : env(env_in),
        shared(shared_in),
        flush_job(shared_in.flush_job()),
        options(options_in),
        hooks(std::move(hooks_in)),
        manifest(env, std::move(directory), shared) {
    shared.restart(manifest.state().flushed);
    // The Flusher of an earlier writer may still read the other one.
    active = flush_job.held_memtable() == 0 ? 1 : 0;
    shared.open_memtable(active);
    last_end = boundary = manifest.state().flushed;
    manifest.remove_obsolete_files();
  }
  ~Impl() { flush_job.cancel(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] bool has_room(std::span<const Entry> entries) const {
    std::size_t bytes = 0;
    for (const Entry& entry : entries) bytes += Memtable::space_for(entry.value.size());
    return bytes <= shared.memtable(active).free_bytes();
  }

  // What raises flushed_lsn() says by what the WAL up to it can be known.
  void prove(ManifestEdit& edit) const {
    if (hooks.prove) edit.proofs.push_back(hooks.prove());
  }

  // Names flushed layers, of which there is at most one.
  void apply_flush(ManifestEdit edit) {
    prove(edit);
    const std::vector<Layer> added = edit.added;
    manifest.apply(std::move(edit));
    for (const Layer& layer : added) {
      ++counters.flushes;
      counters.flush_bytes += layer.info.bytes;
    }
  }

  // What of the active memtable is visible and not in layers.
  [[nodiscard]] LsnRange visible_range() const {
    const Lsn upto = shared.visible_lsn();
    if (first_put > upto) return {};
    return {.begin = first_put, .end = std::min(last_end, upto) + 1};
  }

  // writer_flush.cc
  [[nodiscard]] Layer write_layer(LsnRange lsns, const std::function<void(LayerWriter&)>& add_all);
  [[nodiscard]] Layer write_layer_of(int memtable, LsnRange lsns);
  void wait() const;
  // Waits until no Flusher of an earlier writer reads the memtable that is not active.
  void await_other_memtable();
  // Goes on in the other memtable with what has an LSN above `above`. REQUIRES: await_other_memtable(); no reader may
  // see what is moved.
  void switch_memtable(Lsn above);
  // Leaves the active memtable to a Flusher, and goes on in the other one. REQUIRES: no memtable is immutable,
  // visible_range() is not empty.
  void freeze();
  // Takes the layer over from the Flusher; makes it here when that failed or is gone, or `at_once` when it has not
  // begun. False: the Flusher is at it.
  [[nodiscard]] bool serve_flush(bool at_once);
  void install_layer(Layer layer);
  // Waits until no memtable is immutable.
  void finish_flush(bool at_once);
  // REQUIRES: no memtable is immutable.
  void start_flush();
  void flush();
  void put_past_memtable(std::span<const Entry> entries, Lsn end);

  // writer.cc
  bool install_result();
  void refuse_result();
  void abandon_baseline() {
    baseline->remove_files();
    baseline.reset();
  }

  // A memtable that is to become a layer.
  struct Immutable {
    int memtable;
    LsnRange lsns;
    Lsn upto;  // flushed_lsn() once it is
  };

  Env& env;
  SharedStore& shared;
  FlushJob& flush_job;
  StoreOptions options;
  FlusherHooks hooks;
  ManifestOwner manifest;
  std::optional<Immutable> immutable;
  int active = 0;              // the memtable that is filled
  Lsn first_put = kMaxLsn;     // the lowest LSN in it
  Lsn last_end = kInvalidLsn;  // of the record put last
  Lsn boundary = kInvalidLsn;  // everything up to it was put: the end of the record before that one
  std::uint32_t sequence = 0;  // of the next version with LSN last_end
  std::set<Key> long_chains;   // of the active memtable, not taken yet
  std::unique_ptr<BaselineWriter> baseline;
  WriteCounters counters;
};

}  // namespace strata
