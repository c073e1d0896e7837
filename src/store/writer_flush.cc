// What becomes of the memtable: arenas are sealed, flushed and left. README.md draws it.
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
  OutputFiles files(env, catalog.directory());
  const FlushTarget target{
      .env = env, .directory = catalog.directory(), .number = catalog.take_number(), .lsns = lsns, .options = options};
  Layer layer = write_flush_layer(target, files, add_all);
  files.keep();
  return layer;
}

Layer Writer::Impl::write_layer_of(int arena, LsnRange lsns) {
  const Memtable& table = shared.arena(arena);
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

void Writer::Impl::await_other_arena() {
  while (flushes.held_arena() == 1 - active) wait();
}

void Writer::Impl::switch_arena(Lsn above) {
  env.reached("arena-switch");
  const int other = 1 - active;
  Memtable& to = shared.open_arena(other);
  first_put = kMaxLsn;
  long_chains.clear();
  if (last_end > above) {
    // Versions are added oldest first.
    std::vector<Memtable::Cursor> moved;
    Memtable::Cursor from(shared.arena(active));
    for (from.seek_first(); from.valid(); from.next()) {
      if (from.lsn() > above) moved.push_back(from);
    }
    for (auto one = moved.rbegin(); one != moved.rend(); ++one) {
      to.add_copy(*one);
      first_put = std::min(first_put, one->lsn());
    }
  }
  active = other;
  env.reached("arena-switched");
}

void Writer::Impl::seal() {
  await_other_arena();
  const Sealed one{.arena = active, .lsns = visible_range(), .upto = shared.visible_lsn()};
  shared.seal_arena(active, one.upto);
  switch_arena(one.upto);
  sealed = one;
  env.reached("flush-request");
  flushes.request({.arena = one.arena, .lsns = one.lsns});
  env.reached("flush-requested");
  if (hooks.wake) hooks.wake();
}

bool Writer::Impl::serve_sealed(bool at_once) {
  using State = FlushHandover::State;
  if (!sealed) return true;
  switch (flushes.state()) {
    case State::kRequested:
      if ((flushes.has_flusher() && !at_once) || !flushes.withdraw()) return false;
      break;
    case State::kTaken:
    case State::kCancelled:
      return false;
    case State::kWritten: {
      const FlushHandover::Result result = flushes.take_result();
      Layer layer;
      layer.number = result.number;
      layer.info = {.name = layer_name(result.number, false, kFlushedLevel, sealed->lsns),
                    .level = kFlushedLevel,
                    .first_key = result.first_key,
                    .last_key = result.last_key,
                    .lsns = sealed->lsns,
                    .bytes = result.bytes,
                    .entries = result.entries};
      name_sealed(std::move(layer));
      return true;
    }
    case State::kFailed:
      flushes.forget_failure();
      break;
    case State::kIdle:
      break;
  }
  name_sealed(write_layer_of(sealed->arena, sealed->lsns));
  return true;
}

// When it throws, the arena stays sealed, and another layer has to be made of it.
void Writer::Impl::name_sealed(Layer layer) {
  env.reached("flush-apply");
  ManifestEdit edit;
  edit.flushed = sealed->upto;
  edit.added.push_back(std::move(layer));
  apply_flush(std::move(edit));
  env.reached("flush-applied");
  shared.close_arena(sealed->arena);
  sealed.reset();
  catalog.collect_garbage();
}

void Writer::Impl::finish_sealed(bool at_once) {
  while (!serve_sealed(at_once)) wait();
}

void Writer::Impl::start_flush() {
  if (flushes.has_flusher() && !visible_range().empty()) {
    seal();
  } else {
    flush();
  }
}

void Writer::Impl::flush() {
  finish_sealed(true);
  await_other_arena();
  const Lsn upto = shared.visible_lsn();
  const LsnRange lsns = visible_range();
  if (lsns.empty() && upto == catalog.state().flushed) return;

  ManifestEdit edit;
  edit.flushed = upto;
  if (!lsns.empty()) edit.added.push_back(write_layer_of(active, lsns));
  apply_flush(std::move(edit));
  if (!lsns.empty()) {
    const int flushed = active;
    switch_arena(upto);
    shared.close_arena(flushed);
  }
  catalog.collect_garbage();
}

// A record that is too large for an arena becomes a layer of its own. Everything before it is flushed; the arena holds
// at most what was put of the same record before.
void Writer::Impl::put_past_memtable(std::span<const Entry> entries, Lsn end) {
  finish_sealed(true);
  await_other_arena();
  std::vector<SequencedEntry> all;
  Memtable::Cursor cursor(shared.arena(active));
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
  switch_arena(end);
  shared.close_arena(flushed);
}

}  // namespace strata
