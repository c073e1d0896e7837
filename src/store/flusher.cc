#include "store/flusher.h"

#include <algorithm>
#include <utility>

#include "store/flush_layer.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

using State = FlushJob::State;

// The Writer that wanted the layer is gone.
class Cancelled {};

}  // namespace

struct Flusher::Impl {
  Impl(Env& env_in, std::string directory_in, SharedStore& shared_in, PageRebuilder& rebuilder_in,
       FlusherOptions options_in)
      : env(env_in),
        directory(std::move(directory_in)),
        shared(shared_in),
        rebuilder(rebuilder_in),
        options(std::move(options_in)) {}

  Layer write(const FlushJob::Request& request);
  void add_all(const FlushJob::Request& request, LayerWriter& layer);
  // The versions of one key, from `begin` to `end`.
  void rewrite(Memtable::Cursor begin, const Memtable::Cursor& end, LsnRange lsns, WalValuesOnDemand& wal,
               LayerWriter& layer);
  // What was learned of older versions ends with the layer.
  void forget_older() {
    rewriter.reset();
    incarnations.reset();
  }
  void release(State next);
  void pause() const {
    if (shared.flush_job().is_cancelled()) throw Cancelled();
    options.pause();
  }

  Env& env;
  std::string directory;
  SharedStore& shared;
  PageRebuilder& rebuilder;
  FlusherOptions options;
  std::unique_ptr<Reader> reader;  // of older versions; made when the first key needs them
  std::unique_ptr<Incarnations> incarnations;
  std::unique_ptr<ChainRewriter> rewriter;
  bool holds_memtable = false;
  // Here and not on the stack: a process that ends in the middle of it destroys its Flusher, but unwinds nothing.
  std::unique_ptr<OutputFiles> files;
};

void Flusher::Impl::release(State next) {
  if (!holds_memtable) return;
  forget_older();
  files.reset();
  holds_memtable = false;
  shared.flush_job().release(next);
}

void Flusher::Impl::rewrite(Memtable::Cursor begin, const Memtable::Cursor& end, LsnRange lsns, WalValuesOnDemand& wal,
                            LayerWriter& layer) {
  if (reader == nullptr) {
    reader = std::make_unique<Reader>(env, directory, &shared, ReaderOptions{.cache_bytes = options.memory_bytes / 2});
  }
  if (rewriter == nullptr) {
    incarnations = std::make_unique<Incarnations>(*reader, lsns.end - 1);
    rewriter = std::make_unique<ChainRewriter>(*reader, *incarnations, rebuilder, options.bounds, [this] { pause(); });
  }
  const Key key = begin.key();
  // A key with more versions than memory takes is rewritten in parts, newest first.
  while (begin != end) {
    pause();
    std::vector<MergedVersion> versions;
    std::string room;
    std::size_t bytes = 0;
    Memtable::Cursor next = begin;
    for (; next != end; next.next()) {
      if (next.lsn() >= lsns.end) continue;
      if (bytes > options.memory_bytes / 2 && next.lsn() != versions.back().version.lsn) break;
      const Entry entry = wal.complete(next.entry(), room);
      versions.push_back({.sequence = next.sequence(), .version = version_of(entry)});
      bytes += sizeof(MergedVersion) + entry.value.size();
    }
    std::reverse(versions.begin(), versions.end());
    try {
      rewriter->rewrite(key, versions, next != end);
      add_newest_first(key, versions, layer);
    } catch (const StoreError& error) {
      if (error.kind() != ErrorKind::kCorrupt) throw;
      // Older versions are damaged: their readers get the error, this layer is whole.
      add_versions(begin, next, lsns.end, wal, layer);
    }
    begin = next;
  }
}

void Flusher::Impl::add_all(const FlushJob::Request& request, LayerWriter& layer) {
  WalValuesOnDemand wal(env);
  Memtable::Cursor cursor(shared.memtable(request.memtable));
  cursor.seek_first();
  while (cursor.valid()) {
    pause();
    const Memtable::Cursor begin = cursor;
    const bool is_long = cursor.longest_chain() > options.bounds.versions_of(cursor.key().kind);
    cursor.next_key();
    if (is_long) {
      rewrite(begin, cursor, request.lsns, wal, layer);
    } else {
      add_versions(begin, cursor, request.lsns.end, wal, layer);
    }
  }
}

Layer Flusher::Impl::write(const FlushJob::Request& request) {
  const std::uint64_t number = shared.take_layer_number();
  shared.flush_job().announce(number);
  files = std::make_unique<OutputFiles>(env, directory);
  const FlushTarget target{
      .env = env, .directory = directory, .number = number, .lsns = request.lsns, .options = options.store};
  return write_flush_layer(target, *files, [&](LayerWriter& layer) { add_all(request, layer); });
}

Flusher::Flusher(Env& env, std::string directory, SharedStore& shared, PageRebuilder& rebuilder, FlusherOptions options)
    : impl_(std::make_unique<Impl>(env, std::move(directory), shared, rebuilder, std::move(options))) {
  shared.flush_job().attend(true);
}

Flusher::~Flusher() {
  impl_->shared.flush_job().attend(false);
  impl_->release(State::kRequested);
}

std::optional<Flusher::Result> Flusher::flush() {
  Impl& impl = *impl_;
  const std::optional<FlushJob::Request> request = impl.shared.flush_job().take();
  if (!request) return std::nullopt;
  impl.holds_memtable = true;
  impl.env.reached("flush-taken");
  try {
    const Layer layer = impl.write(*request);
    impl.env.reached("flush-complete");
    Result result{.bytes = layer.info.bytes, .chains = {}};
    if (impl.rewriter != nullptr) result.chains = impl.rewriter->counters();
    impl.forget_older();
    const FlushJob::Result written{.number = layer.number,
                                   .bytes = layer.info.bytes,
                                   .entries = layer.info.entries,
                                   .first_key = layer.info.first_key,
                                   .last_key = layer.info.last_key};
    if (!impl.shared.flush_job().complete(written)) throw Cancelled();
    // The file is the Writer's now.
    impl.files->keep();
    impl.files.reset();
    impl.holds_memtable = false;
    impl.env.reached("flush-completed");
    return result;
  } catch (const Cancelled&) {
    impl.release(State::kFailed);
    return std::nullopt;
  } catch (...) {
    impl.release(State::kFailed);
    throw;
  }
}

}  // namespace strata
