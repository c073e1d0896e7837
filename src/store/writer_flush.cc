// What becomes of a memtable: it is frozen, flushed and closed. README.md draws it.
#include <time.h>

#include <tuple>

#include "store/flush_layer.h"
#include "store/writer_impl.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

struct SequencedEntry {
  Entry entry;
  std::uint32_t sequence;
};

}  // namespace

// Writes a layer and its directory entry. A file that could not be completed is taken away again.
Layer Writer::Impl::write_layer(LsnRange lsns, const std::function<void(LayerWriter&)>& add_all) {
  OutputFiles files(env, manifest.directory());
  const FlushTarget target{.env = env,
                           .directory = manifest.directory(),
                           .number = manifest.take_number(),
                           .lsns = lsns,
                           .options = options};
  Layer layer = write_flush_layer(target, files, add_all);
  files.keep();
  return layer;
}

Layer Writer::Impl::write_layer_of(int memtable, LsnRange lsns) {
  const Memtable& table = shared.memtable(memtable);
  Memtable::Cursor first(table);
  first.seek_first();
  WalValuesOnDemand wal(env);
  return write_layer(lsns,
                     [&](LayerWriter& layer) { add_versions(first, Memtable::Cursor(table), lsns.end, wal, layer); });
}

void Writer::Impl::wait() const {
  if (hooks.wait) {
    hooks.wait();
    return;
  }
  const timespec pause{.tv_sec = 0, .tv_nsec = 100'000};
  ::nanosleep(&pause, nullptr);
}

void Writer::Impl::await_other_memtable() {
  while (flush_job.held_memtable() == 1 - active) wait();
}

void Writer::Impl::switch_memtable(Lsn above) {
  env.reached("memtable-switch");
  const int other = 1 - active;
  Memtable& to = shared.open_memtable(other);
  first_put = kMaxLsn;
  long_chains.clear();
  if (last_end > above) {
    // Versions are added oldest first.
    std::vector<Memtable::Cursor> moved;
    Memtable::Cursor from(shared.memtable(active));
    for (from.seek_first(); from.valid(); from.next()) {
      if (from.lsn() > above) moved.push_back(from);
    }
    for (auto one = moved.rbegin(); one != moved.rend(); ++one) {
      to.add_copy(*one);
      first_put = std::min(first_put, one->lsn());
    }
  }
  active = other;
  env.reached("memtable-switched");
}

void Writer::Impl::freeze() {
  await_other_memtable();
  const Immutable one{.memtable = active, .lsns = visible_range(), .upto = shared.visible_lsn()};
  shared.freeze_memtable(active, one.upto);
  switch_memtable(one.upto);
  immutable = one;
  env.reached("flush-request");
  flush_job.request({.memtable = one.memtable, .lsns = one.lsns});
  env.reached("flush-requested");
  if (hooks.wake) hooks.wake();
}

bool Writer::Impl::serve_flush(bool at_once) {
  using State = FlushJob::State;
  if (!immutable) return true;
  switch (flush_job.state()) {
    case State::kRequested:
      if ((flush_job.has_flusher() && !at_once) || !flush_job.withdraw()) return false;
      break;
    case State::kTaken:
    case State::kCancelled:
      return false;
    case State::kWritten: {
      const FlushJob::Result result = flush_job.take_result();
      Layer layer;
      layer.number = result.number;
      layer.info = {.name = layer_name(result.number, false, kFlushedLevel, immutable->lsns),
                    .level = kFlushedLevel,
                    .first_key = result.first_key,
                    .last_key = result.last_key,
                    .lsns = immutable->lsns,
                    .bytes = result.bytes,
                    .entries = result.entries};
      install_layer(std::move(layer));
      return true;
    }
    case State::kFailed:
      flush_job.forget_failure();
      break;
    case State::kIdle:
      break;
  }
  install_layer(write_layer_of(immutable->memtable, immutable->lsns));
  return true;
}

// When it throws, the memtable stays immutable, and another layer has to be made of it.
void Writer::Impl::install_layer(Layer layer) {
  env.reached("flush-apply");
  ManifestEdit edit;
  edit.flushed = immutable->upto;
  edit.added.push_back(std::move(layer));
  apply_flush(std::move(edit));
  env.reached("flush-applied");
  shared.close_memtable(immutable->memtable);
  immutable.reset();
  manifest.remove_obsolete_files();
}

void Writer::Impl::finish_flush(bool at_once) {
  while (!serve_flush(at_once)) wait();
}

void Writer::Impl::start_flush() {
  if (flush_job.has_flusher() && !visible_range().empty()) {
    freeze();
  } else {
    flush();
  }
}

void Writer::Impl::flush() {
  finish_flush(true);
  await_other_memtable();
  const Lsn upto = shared.visible_lsn();
  const LsnRange lsns = visible_range();
  if (lsns.empty() && upto == manifest.state().flushed) return;

  ManifestEdit edit;
  edit.flushed = upto;
  if (!lsns.empty()) edit.added.push_back(write_layer_of(active, lsns));
  apply_flush(std::move(edit));
  if (!lsns.empty()) {
    const int flushed = active;
    switch_memtable(upto);
    shared.close_memtable(flushed);
  }
  manifest.remove_obsolete_files();
}

// A record that is too large for a memtable becomes a layer of its own. Everything before it is flushed; the memtable
// holds at most what was put of the same record before.
void Writer::Impl::put_past_memtable(std::span<const Entry> entries, Lsn end) {
  finish_flush(true);
  await_other_memtable();
  std::vector<SequencedEntry> all;
  Memtable::Cursor cursor(shared.memtable(active));
  for (cursor.seek_first(); cursor.valid(); cursor.next()) {
    all.push_back({.entry = cursor.entry(), .sequence = cursor.sequence()});
  }
  std::uint32_t next = sequence;
  for (const Entry& entry : entries) all.push_back({.entry = entry, .sequence = next++});
  std::sort(all.begin(), all.end(), [](const SequencedEntry& a, const SequencedEntry& b) {
    return std::tie(a.entry.key, b.sequence) < std::tie(b.entry.key, a.sequence);
  });

  ManifestEdit edit;
  edit.flushed = end;
  edit.added.push_back(write_layer({.begin = end, .end = end + 1}, [&](LayerWriter& layer) {
    WalValuesOnDemand wal(env);
    std::string room;
    for (const SequencedEntry& one : all) layer.add(wal.complete(one.entry, room), one.sequence);
  }));
  apply_flush(std::move(edit));
  shared.set_visible_lsn(end);
  const int flushed = active;
  switch_memtable(end);
  shared.close_memtable(flushed);
}

}  // namespace strata
