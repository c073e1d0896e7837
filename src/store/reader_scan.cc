// The Reader's walks over ranges of keys.
#include <algorithm>
#include <exception>
#include <map>

#include "store/reader_impl.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kMaxBatch = 256;

// Walks the keys of a run that have a version at or before `at`, standing on the newest such version of each.
class RunCursor {
 public:
  RunCursor(LayerMap& map, LayerRun& run, Lsn at) : map_(map), run_(run), at_(at) {}

  void seek(const Key& key) {
    member_ = run_.first_reaching(key);
    cursor_.reset();
    if (member_ == run_.members().size()) return;
    cursor_.emplace(map_.open(run_.members()[member_]));
    cursor_->seek(encode_key(key), at_);
    settle();
  }

  // To the next key.
  void next() {
    constexpr int kSteps = 8;
    const EncodedKey key = entry().key;
    for (int i = 0; i < kSteps && cursor_->valid() && cursor_->entry().key == key; ++i) cursor_->next();
    if (cursor_->valid() && cursor_->entry().key == key) cursor_->seek(key, kInvalidLsn);
    settle();
  }

  [[nodiscard]] bool valid() const { return cursor_.has_value(); }
  [[nodiscard]] const IndexEntry& entry() const { return cursor_->entry(); }
  [[nodiscard]] LayerVersion version() const { return LayerMap::version_at(*cursor_); }

 private:
  void settle() {
    for (;;) {
      if (!cursor_->valid()) {
        cursor_.reset();
        if (++member_ == run_.members().size()) return;
        cursor_.emplace(map_.open(run_.members()[member_]));
        cursor_->seek(encode_key(run_.members()[member_].layer.info.first_key), at_);
      } else if (cursor_->entry().lsn > at_) {
        const EncodedKey key = cursor_->entry().key;
        cursor_->seek(key, at_);
      } else {
        return;
      }
    }
  }

  LayerMap& map_;
  LayerRun& run_;
  Lsn at_;
  std::size_t member_ = 0;
  std::optional<LayerCursor> cursor_;
};

using Newest = std::map<Key, MemtableVersion>;

// The newest versions of the first `limit` keys in [first, last]; lowers *last to the key up to which it looked.
void collect_newest(const Memtable& memtable, const Key& first, Lsn at, std::size_t limit, Key* last, Newest& out) {
  std::size_t count = 0;
  Memtable::Cursor cursor(memtable);
  cursor.seek(first, at);
  while (cursor.valid() && cursor.key() <= *last) {
    const Key key = cursor.key();
    if (cursor.lsn() > at) {
      cursor.seek(key, at);
      continue;
    }
    const Entry entry = cursor.entry();
    MemtableVersion& newest = out[key];
    if (newest.version.lsn < entry.lsn) newest = copy_version(entry, cursor.sequence());
    if (++count == limit) {
      *last = key;
      return;
    }
    cursor.next_key();
  }
}

Key successor(const Key& key) {
  EncodedKey bytes = encode_key(key);
  for (std::size_t i = bytes.size(); i-- > 0;) {
    if (++bytes[i] != 0) break;
  }
  return decode_key(bytes);
}

}  // namespace

std::vector<Reader::Impl::Found> Reader::Impl::scan_some(const Key& first, const Key& last, Lsn at, Lsn floor,
                                                         std::size_t limit, std::optional<Key>* next) {
  Newest recent;
  Key bound = last;
  const View view = this->view(
      at,
      [&] {
        recent.clear();
        bound = last;
      },
      [&](const Memtable& memtable, Lsn upto) { collect_newest(memtable, first, upto, limit, &bound, recent); });
  const Lsn below = std::max(view.map->flushed(), floor);
  std::erase_if(recent, [&](const auto& one) { return one.second.version.lsn <= below || bound < one.first; });
  WalValuesOnDemand wal(env);
  for (auto& [key, newest] : recent) newest.complete(wal);

  std::vector<RunCursor> cursors;
  const EncodedKey encoded_bound = encode_key(bound);
  for (LayerRun& run : view.map->runs()) {
    if (run.lsns.begin > view.at || run.lsns.end - 1 <= floor) continue;
    const std::size_t member = run.first_reaching(first);
    if (member == run.members().size() || bound < run.members()[member].layer.info.first_key) continue;
    cursors.emplace_back(*view.map, run, view.at);
    cursors.back().seek(first);
  }

  std::vector<Found> found;
  auto newer = recent.begin();
  for (;;) {
    const EncodedKey* lowest = nullptr;
    for (const RunCursor& cursor : cursors) {
      if (cursor.valid() && (lowest == nullptr || compare(cursor.entry().key, *lowest) < 0))
        lowest = &cursor.entry().key;
    }
    if (lowest != nullptr && compare(*lowest, encoded_bound) > 0) lowest = nullptr;
    if (lowest == nullptr && newer == recent.end()) break;
    if (found.size() == limit) {
      *next = successor(found.back().key);
      return found;
    }

    const EncodedKey encoded = lowest == nullptr ? encode_key(newer->first) : *lowest;
    const Key key = decode_key(encoded);
    if (newer != recent.end() && newer->first < key) {
      found.push_back({.key = newer->first, .version = std::move(newer->second.version)});
      ++newer;
      continue;
    }
    std::optional<LayerVersion> newest;
    for (RunCursor& cursor : cursors) {
      if (!cursor.valid() || cursor.entry().key != encoded) continue;
      if (!newest || cursor.entry().lsn > newest->entry.lsn) newest = cursor.version();
      cursor.next();
    }
    if (newer != recent.end() && newer->first == key) {
      found.push_back({.key = key, .version = std::move(newer->second.version)});
      ++newer;
    } else if (newest->entry.lsn > floor) {
      found.push_back({.key = key, .version = newest->read()});
    }
  }
  if (bound < last) *next = successor(bound);
  return found;
}

std::optional<std::pair<Key, Version>> Reader::first_in(const Key& first, const Key& last, Lsn at) {
  const Lsn upto = impl_->clamp(at);
  std::optional<Key> from = first;
  while (from && *from <= last) {
    const Key begin = *from;
    auto found = impl_->run([&] {
      from.reset();
      return impl_->scan_some(begin, last, upto, kInvalidLsn, 1, &from);
    });
    if (!found.empty()) return std::make_pair(found.front().key, std::move(found.front().version));
  }
  return std::nullopt;
}

namespace {

constexpr Key kLowestMark{.kind = KeyKind::kTimeMark};

// What the runs say of the first mark in a range, the oldest run first. A run that cannot be read is gone past where
// that does no harm: marks rise in time and in LSN together, so that none of it is in the range when a newer run has a
// mark before the range.
class FirstMarkInRuns {
 public:
  FirstMarkInRuns(const Key& first, const Key& last, Lsn at) : first_(first), last_(last), at_(at) {}

  void look(LayerMap& map, LayerRun& run) {
    try {
      // Not held to at_: it would go past all the marks above that one by one.
      RunCursor cursor(map, run, kMaxLsn);
      if (damage_ != nullptr) {
        cursor.seek(kLowestMark);
        if (cursor.valid() && decode_key(cursor.entry().key) < first_) damage_ = nullptr;
      }
      cursor.seek(first_);
      if (!cursor.valid() || last_ < decode_key(cursor.entry().key) || cursor.entry().lsn > at_) return;
      const LayerVersion version = cursor.version();
      found_ = std::make_pair(decode_key(version.entry.key), version.read());
    } catch (const StoreError&) {
      damage_ = std::current_exception();
    }
  }

  // Nothing more needs to be looked at.
  [[nodiscard]] bool is_settled() const { return found_.has_value(); }
  [[nodiscard]] const std::exception_ptr& damage() const { return damage_; }
  [[nodiscard]] std::optional<std::pair<Key, Version>>& found() { return found_; }

 private:
  Key first_;
  Key last_;
  Lsn at_;
  std::exception_ptr damage_;  // of runs whose marks may be in the range
  std::optional<std::pair<Key, Version>> found_;
};

// Where the first mark in the range is above `upto`, all others are.
void collect_first_mark(const Memtable& memtable, const Key& first, const Key& last, Lsn upto, Newest& out) {
  Memtable::Cursor cursor(memtable);
  cursor.seek(first, kMaxLsn);
  if (!cursor.valid() || last < cursor.key() || cursor.lsn() > upto) return;
  out[cursor.key()] = copy_version(cursor.entry(), cursor.sequence());
}

// Whether a memtable has a mark before `first` that is newer than all layers.
bool has_unflushed_mark_before(const Memtable& memtable, const Key& first, Lsn flushed, Lsn upto) {
  Memtable::Cursor cursor(memtable);
  for (cursor.seek(kLowestMark, upto); cursor.valid() && cursor.key() < first; cursor.next_key()) {
    if (cursor.lsn() > flushed && cursor.lsn() <= upto) return true;
  }
  return false;
}

}  // namespace

std::optional<std::pair<Key, Version>> Reader::Impl::first_mark(const Key& first, const Key& last, Lsn at, bool any) {
  Newest recent;
  const View view = this->view(
      at, [&] { recent.clear(); },
      [&](const Memtable& memtable, Lsn upto) { collect_first_mark(memtable, first, last, upto, recent); });

  FirstMarkInRuns marks(first, last, view.at);
  for (auto run = view.map->runs().rbegin(); run != view.map->runs().rend() && !marks.is_settled(); ++run) {
    if (run->lsns.begin <= view.at) marks.look(*view.map, *run);
  }
  std::erase_if(recent, [&](const auto& one) { return one.second.version.lsn <= view.map->flushed(); });
  const bool is_found = marks.is_settled() || !recent.empty();
  if (marks.damage() != nullptr && !(any && is_found)) {
    bool is_harmless = false;
    if (shared != nullptr && !marks.is_settled()) {
      shared->visit_memtables([&](const Memtable& memtable, Lsn upper) {
        if (has_unflushed_mark_before(memtable, first, view.map->flushed(), std::min(view.at, upper)))
          is_harmless = true;
      });
    }
    if (!is_harmless) std::rethrow_exception(marks.damage());
  }
  if (marks.is_settled()) return std::move(marks.found());
  if (recent.empty()) return std::nullopt;
  auto& [key, newest] = *recent.begin();
  WalValuesOnDemand wal(env);
  newest.complete(wal);
  return std::make_pair(key, std::move(newest.version));
}

std::optional<std::pair<Key, Version>> Reader::any_mark_in(const Key& first, const Key& last, Lsn at) {
  const Lsn upto = impl_->clamp(at);
  return impl_->run([&] { return impl_->first_mark(first, last, upto, true); });
}

std::optional<std::pair<Key, Version>> Reader::first_mark_in(const Key& first, const Key& last, Lsn at) {
  const Lsn upto = impl_->clamp(at);
  return impl_->run([&] { return impl_->first_mark(first, last, upto, false); });
}

void Reader::scan(const Key& first, const Key& last, Lsn at,
                  const std::function<bool(const Key&, const Version&)>& visit, Lsn floor) {
  std::size_t batch = 1;
  const Lsn upto = impl_->clamp(at);
  std::optional<Key> from = first;
  while (from && *from <= last) {
    const Key begin = *from;
    const auto found = impl_->run([&] {
      from.reset();
      return impl_->scan_some(begin, last, upto, floor, batch, &from);
    });
    for (const Impl::Found& one : found) {
      if (!visit(one.key, one.version)) return;
    }
    batch = std::min(batch * 4, kMaxBatch);
  }
}

}  // namespace strata
