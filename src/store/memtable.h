// The newest versions, in shared memory: one writer (ingest), many readers without locks.
//
// Two memtables: the writer fills the active one; when that is full, the writer freezes it and goes on in the other
// one, while the immutable one is flushed to a layer file and then left by late readers. Everything is addressed by
// offset, so that every process may map the region elsewhere.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <span>

#include "store/entry.h"
#include "store/flush_job.h"

namespace strata {

static_assert(std::atomic<std::uint32_t>::is_always_lock_free && std::atomic<std::uint64_t>::is_always_lock_free);

// A memtable: a skip list of groups of neighbouring keys, and for each key its versions, newest first, with their
// values or with what refers to them in WAL. Groups and keys, which every version that is added has to look at, fill
// the memtable from its end, versions from its begin: what is looked at stays close together. Versions come in the
// order of WAL, so a new one of a known group is found a place by a hash table, without a search. One thread of one
// process adds; any number read at the same time. Nothing is taken out but by reset().
class Memtable {
 private:
  struct Group;
  struct KeyNode;
  struct VersionNode;

 public:
  // Bytes of a memtable that adding a version with a value of `value_bytes` takes at most.
  static std::size_t space_for(std::size_t value_bytes);

  // Makes the memtable at this address, of `bytes` in all, empty. REQUIRES: nobody reads it; aligned to 64.
  static Memtable& format(void* memtable, std::size_t bytes);
  // Empties it. REQUIRES: nobody reads it.
  void reset();

  [[nodiscard]] std::size_t free_bytes() const;
  [[nodiscard]] std::size_t used_bytes() const;

  // REQUIRES: space_for(entry.value.size()) <= free_bytes(); the version is newer (LSN, then sequence) than what the
  // memtable has of its key; called by the writer only. Returns how many versions of the key are in the memtable now,
  // the newest one and those before it back to a base, which does not count.
  std::uint32_t add(const Entry& entry, std::uint32_t sequence);

  class Cursor;
  // Adds what stands at a position of another memtable. Copying all of a memtable, or less, takes no more room than it
  // does there. REQUIRES: as add().
  void add_copy(const Cursor& from);

  // A position in the order of versions: key ascending, LSN descending, sequence descending. Valid as long as the
  // memtable is pinned (for the writer: not reset).
  class Cursor {
   public:
    explicit Cursor(const Memtable& table) : table_(&table) {}

    void seek_first();
    // The newest version of `key` with LSN <= at, or what comes behind it.
    void seek(const Key& key, Lsn at);
    void next();
    // To the newest version of the next key.
    void next_key();

    [[nodiscard]] bool valid() const { return version_ != nullptr; }
    [[nodiscard]] Key key() const;
    [[nodiscard]] Lsn lsn() const;
    [[nodiscard]] std::uint32_t sequence() const;
    // Its value lies in the memtable, or in WAL.
    [[nodiscard]] Entry entry() const;
    // How many versions of the key come one after the other, at most, of which none is a base. REQUIRES: nothing is
    // added any more.
    [[nodiscard]] std::uint32_t longest_chain() const;
    friend bool operator==(const Cursor& a, const Cursor& b) { return a.version_ == b.version_; }

   private:
    friend class Memtable;
    // To the first key at `slot` of the group or behind it.
    void enter(const Group* group, std::uint32_t slot);

    const Memtable* table_;
    const Group* group_ = nullptr;
    std::uint32_t slot_ = 0;
    const KeyNode* key_ = nullptr;
    const VersionNode* version_ = nullptr;
  };

 private:
  // An offset from the memtable's begin in units of 8 bytes. 0 is the end of a list.
  using Link = std::uint32_t;
  static constexpr std::uint32_t kMaxHeight = 14;
  static constexpr std::uint32_t kMaxWidth = 16;
  static constexpr std::size_t kUnit = 8;

  // Does not change once it is linked.
  struct VersionNode {
    Link older;          // the version before it
    Link jump;           // a milestone: the last one before it, of a milestone one that is `span` milestones before it
    std::uint32_t span;  // of a milestone
    std::uint32_t sequence;
    Lsn lsn;
    std::uint32_t value_bytes;
    EntryType type;
    bool base;
    bool in_wal;
    // Followed by the value, or by what refers to it.

    [[nodiscard]] const std::byte* value() const { return reinterpret_cast<const std::byte*>(this + 1); }
  };

  // Of the key at its slot of a group.
  struct KeyNode {
    std::atomic<Link> newest;  // version
    Link milestone;            // the newest; the writer's
    std::uint32_t records;     // versions since the last base; the writer's
    std::uint32_t longest;     // the most that `records` ever was
  };

  // Keys that differ in the lowest bits of `block` only. Once linked, it has a key.
  struct Group {
    Key first;            // that there may be
    Link next_in_bucket;  // the writer's
    std::uint32_t height;
    // Followed by `height` atomic links to groups, then by one for each key that there may be.

    [[nodiscard]] std::atomic<Link>* links() { return reinterpret_cast<std::atomic<Link>*>(this + 1); }
    [[nodiscard]] const std::atomic<Link>* links() const {
      return reinterpret_cast<const std::atomic<Link>*>(this + 1);
    }
    [[nodiscard]] std::atomic<Link>* keys() { return links() + height; }
    [[nodiscard]] const std::atomic<Link>* keys() const { return links() + height; }
    [[nodiscard]] std::uint32_t width() const { return width_of(first.kind); }
  };

  // Pages and multixacts come with their neighbours, other keys alone. A power of two.
  static constexpr std::uint32_t width_of(KeyKind kind) {
    return kind == KeyKind::kPage || kind == KeyKind::kMultiXact ? kMaxWidth : 1;
  }
  static Key first_of_group(Key key) {
    key.block &= ~(width_of(key.kind) - 1);
    return key;
  }
  static std::size_t key_bytes();
  static std::size_t group_bytes(std::uint32_t height, std::uint32_t width);
  static std::size_t version_bytes(std::size_t value_bytes);
  template <class Node>
  [[nodiscard]] const Node* at(Link link) const {
    if (link == 0) return nullptr;
    return reinterpret_cast<const Node*>(reinterpret_cast<const std::byte*>(this) + std::size_t{link} * kUnit);
  }
  [[nodiscard]] Link* buckets() { return reinterpret_cast<Link*>(this + 1); }
  [[nodiscard]] std::size_t header_bytes() const;
  // `first` is a group's.
  [[nodiscard]] const Group* first_not_before(const Key& first) const;
  std::uint32_t random_height();
  std::byte* take_for_version(std::size_t bytes);
  std::byte* take_for_keys(std::size_t bytes);
  [[nodiscard]] Link link_to(const void* node) const;
  // One version in sixteen, by chance. To add any other one, nothing has to be looked at that the processor's cache has
  // long forgotten.
  static bool is_milestone(Link version);
  Link add_version(const Entry& entry, std::uint32_t sequence, KeyNode& key);
  void add_group(const Key& first, Link& bucket, std::uint32_t slot, Link key, std::uint32_t height);
  // height 0: a random one, should the group be new.
  std::uint32_t add(const Entry& entry, std::uint32_t sequence, std::uint32_t height);

  std::size_t bytes_;         // of the memtable, this header included
  std::size_t versions_end_;  // the writer's
  std::size_t keys_begin_;    // the writer's
  std::uint64_t seed_;        // the writer's
  std::size_t bucket_mask_;
  std::array<std::atomic<Link>, kMaxHeight> head_;
  // Followed by the writer's hash table: bucket_mask_ + 1 links to groups.
};

// The shared region: header, two memtables, and what readers must agree on with the writer.
// Trivially destructible, position-independent; lives in memory that the caller gives and keeps.
//
// How a reader gets a complete view without a lock: it takes `at` from visible_lsn(), copies what it needs out of the
// memtables, and only then looks which layers there are (layer_map_version()). The writer names a flushed layer first
// and closes its memtable then. So a version is in the memtable, in the layers, or in both; what is at or below the
// layer map's flushed LSN is taken from the layers only.
class SharedStore {
 public:
  // REQUIRES: region is zeroed or garbage, aligned to 64, at least min_size() bytes. Called once, before any reader.
  static SharedStore& create(std::span<std::byte> region);
  static SharedStore& attach(void* region);
  static std::size_t min_size();

  // The end LSN up to which every version is visible to readers. Monotonic, but for one case: a Writer that comes after
  // one that died sets it back to the flushed LSN, because the memtable is gone and its WAL will be read again.
  [[nodiscard]] Lsn visible_lsn() const { return visible_lsn_.load(std::memory_order_seq_cst); }
  // Rises whenever the manifest names other layers. Readers compare it and reload.
  [[nodiscard]] std::uint64_t layer_map_version() const { return layer_map_version_.load(std::memory_order_seq_cst); }
  // Rises whenever visible_lsn() was set back, after that and before the memtable is emptied: a reader that sees the
  // same epoch before it takes visible_lsn() and after it has read the memtables has read all there was.
  [[nodiscard]] std::uint64_t epoch() const { return epoch_.load(std::memory_order_seq_cst); }

  // For readers. Calls visit(memtable, upper) for each open memtable, pinned meanwhile; what has an LSN above `upper`
  // is in the other memtable. visit must neither wait nor throw anything but std::bad_alloc, because the writer may
  // wait for the pin.
  template <class Visit>
  void visit_memtables(Visit&& visit) {
    for (int i = 0; i < kMemtables; ++i) {
      const Pin pin(memtables_[i]);
      if (pin.open())
        visit(static_cast<const Memtable&>(memtable(i)), memtables_[i].upper.load(std::memory_order_seq_cst));
    }
  }

  // What keeps files from being removed while a process may still read them: the layer map version in use. A slot is
  // its process's until that gives it back.
  static constexpr int kReaderSlots = 1024;
  // A free slot, which pins nothing; -1 when there is none.
  int take_reader_slot();
  // From now on take_reader_slot() calls `hook` in this process and in those that it forks. Whoever may end without
  // having run the destructors of what holds slots sees to it there that release_slots() is called.
  static void on_take_reader_slot(void (*hook)()) { slot_hook_ = hook; }
  // Makes a slot pin the current layer map version, and returns that version: no file of it or a later one is
  // removed.
  std::uint64_t pin_layer_map(int slot);
  // Pins nothing until pin_layer_map().
  void unpin_layer_map(int slot);
  // Without effect where it is no longer the process's.
  void release_reader_slot(int slot);
  // Gives back all that the process has. REQUIRES: nothing is read by way of them any more.
  void release_slots();
  // The process (by its ID) whose slot it is; 0: nobody's.
  [[nodiscard]] int owner_of_slot(int slot) const {
    return owners_[static_cast<std::size_t>(slot)].load(std::memory_order_seq_cst);
  }

  // Numbers of layers, for the writer and for the compactor beside it.
  std::uint64_t take_layer_number() { return next_layer_number_.fetch_add(1, std::memory_order_seq_cst); }
  [[nodiscard]] std::uint64_t next_layer_number() const { return next_layer_number_.load(std::memory_order_seq_cst); }
  // Raises the next number to `number` where it is lower.
  void raise_layer_number(std::uint64_t number);

  // The state of a compaction result. From kRequested on the result is the writer's, its files
  // too.
  enum class ResultState : std::uint32_t {
    kNone = 0,
    kRequested = 1,  // the file of the result says what to install
    kApplied = 2,
    kRefused = 3,
    kOrphans = 4,  // a compactor has gone and left orphans
  };
  [[nodiscard]] ResultState result_state() const {
    return static_cast<ResultState>(result_state_.load(std::memory_order_seq_cst));
  }
  void set_result_state(ResultState state) {
    result_state_.store(static_cast<std::uint32_t>(state), std::memory_order_seq_cst);
  }
  // Files of merged layers with this number or a higher one are a running merge's; 0: there is none.
  [[nodiscard]] std::uint64_t merge_floor() const { return merge_floor_.load(std::memory_order_seq_cst); }
  void set_merge_floor(std::uint64_t number) { merge_floor_.store(number, std::memory_order_seq_cst); }

  // The flush of the immutable memtable, beside the writer.
  [[nodiscard]] FlushJob& flush_job() { return flush_job_; }

  // The writer's side. One process at a time.
  static constexpr int kMemtables = 2;
  [[nodiscard]] Memtable& memtable(int i);
  // Waits until no reader is left in it, empties it and opens it to readers.
  // REQUIRES: flush_job().held_memtable() is another one.
  Memtable& open_memtable(int i);
  // From now on readers pass by what it has above `upper`. REQUIRES: visible_lsn() <= upper.
  void freeze_memtable(int i, Lsn upper);
  // From now on readers pass it by. REQUIRES: the layers hold all that is visible of it.
  void close_memtable(int i);
  // REQUIRES: lsn is not lower than visible_lsn().
  void set_visible_lsn(Lsn lsn) { visible_lsn_.store(lsn, std::memory_order_seq_cst); }
  // Forgets what a dead writer left: sets visible_lsn() to `flushed`, closes both memtables.
  void restart(Lsn flushed);
  // Returns the new version.
  std::uint64_t raise_layer_map_version() { return layer_map_version_.fetch_add(1, std::memory_order_seq_cst) + 1; }
  // The lowest layer map version that a slot holds; the highest number when none does.
  [[nodiscard]] std::uint64_t oldest_version_in_use() const;

 private:
  struct alignas(64) MemtableState {
    std::atomic<std::uint32_t> pins{0};
    std::atomic<std::uint32_t> open{0};
    std::atomic<Lsn> upper{kMaxLsn};
    std::uint64_t offset = 0;  // from the begin of the region
    std::uint64_t bytes = 0;
  };

  // The writer closes, then looks at the pins; a reader pins, then looks whether it is open. Both orders are
  // sequentially consistent, so that one of them sees the other.
  class Pin {
   public:
    explicit Pin(MemtableState& state) : state_(state) {
      if (state_.open.load(std::memory_order_seq_cst) == 0) return;
      state_.pins.fetch_add(1, std::memory_order_seq_cst);
      pinned_ = true;
      open_ = state_.open.load(std::memory_order_seq_cst) != 0;
    }
    ~Pin() {
      if (pinned_) state_.pins.fetch_sub(1, std::memory_order_seq_cst);
    }
    Pin(const Pin&) = delete;
    Pin& operator=(const Pin&) = delete;
    [[nodiscard]] bool open() const { return open_; }

   private:
    MemtableState& state_;
    bool pinned_ = false;
    bool open_ = false;
  };

  SharedStore() = default;

  static constexpr std::uint64_t kFree = 0;
  static constexpr std::uint64_t kNoPin = std::numeric_limits<std::uint64_t>::max();

  std::atomic<Lsn> visible_lsn_{kInvalidLsn};
  std::atomic<std::uint64_t> layer_map_version_{1};
  std::atomic<std::uint64_t> epoch_{0};
  std::atomic<std::uint64_t> next_layer_number_{1};
  std::atomic<std::uint64_t> merge_floor_{0};
  std::atomic<std::uint32_t> result_state_{0};
  FlushJob flush_job_;
  std::array<MemtableState, kMemtables> memtables_;
  std::array<std::atomic<std::uint64_t>, kReaderSlots> slots_{};  // kFree, kNoPin or a layer map version
  std::array<std::atomic<int>, kReaderSlots> owners_{};           // written by who has the slot
  static inline void (*slot_hook_)() = nullptr;
};

}  // namespace strata
