// The store as its users see it: one Writer (the ingest process), any number of Readers (sessions), on one directory.
// doc/format.md describes the files.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "store/entry.h"
#include "store/env.h"
#include "store/error.h"
#include "store/memtable.h"

namespace strata {

// What a store belongs to, and from where on it answers. In the manifest.
struct StoreIdentity {
  std::uint64_t system_identifier = 0;
  std::uint32_t timeline = 0;
};

// A record of the WAL that a store was made of. It tells that WAL from any other which has the same LSNs.
struct JoinProof {
  Lsn begin = kInvalidLsn;
  Lsn end = kInvalidLsn;
  Lsn previous = kInvalidLsn;  // where the record before it begins
  std::uint32_t crc = 0;       // as WAL has it
  std::uint32_t timeline = 0;

  friend bool operator==(const JoinProof&, const JoinProof&) = default;
};

// Where history begins. Versions are complete for every LSN >= lsn; `time` is the earliest moment that may be asked
// for (microseconds since 2000-01-01 UTC). lsn == kInvalidLsn: there is no baseline yet.
struct Horizon {
  Lsn lsn = kInvalidLsn;
  std::int64_t time = 0;
};

struct LayerInfo {
  std::string name;    // file name
  int level = 0;       // 0: flushed memtable; above: merged so many times
  bool image = false;  // true: at most one version of a key, all of them bases
  Key first_key, last_key;
  LsnRange lsns;
  std::uint64_t bytes = 0;  // on disk
  std::uint64_t entries = 0;
};

struct StoreOptions {
  int compression_level = 3;
  int flush_compression_level = -1;             // of L0 layers, which are merged soon
  std::size_t value_block_bytes = 8 * 1024;     // of values that are not inline; a page image has a block of its own
  std::size_t index_block_bytes = 4 * 1024;     // inline values included
  std::size_t inline_bytes = 1024;              // a value of at most so many stands in the index; 4096 at most
  std::size_t dictionary_bytes = 16 * 1024;     // 0: none
  std::size_t sample_bytes = 2 << 20;           // of so much a dictionary is made, which waits in memory meanwhile ...
  std::size_t dictionary_reach = 2 << 20;       // ... and after so much more another one, where that is better ...
  double dictionary_gain = 1.0 / 16;            // ... by more than this part; where it is not, after twice as much, ...
  std::size_t max_dictionary_reach = 32 << 20;  // ... up to this
  std::uint64_t max_layer_bytes = std::uint64_t{1} << 30;  // of a baseline's image layers
  std::uint32_t memtable_chain = 512;                      // versions in a row of which take_long_chain() tells

  // Of L0 layers: they are written in a hurry, and soon merged.
  [[nodiscard]] StoreOptions for_flush() const;
  // Of a baseline: it is written once and stays.
  [[nodiscard]] StoreOptions for_baseline() const;
};

// How a Writer gets on with a Flusher beside it. Both may be empty.
struct FlusherHooks {
  std::function<void()> wake;  // a memtable waits to be flushed
  // Called again and again while put() or flush() waits for the Flusher. May throw: then nothing was added.
  std::function<void()> wait;
  // Called before flushed_lsn() rises, durably. Returns a record behind the new one which no other WAL has, and which
  // is durable. May throw: then flushed_lsn() stays, and the flush may be tried again. Empty: the store gets no proofs.
  std::function<JoinProof()> prove;
};

// What a Writer has written since it was made, manifests left out; ever rising.
struct WriteCounters {
  std::uint64_t flushes = 0;      // layers of level 0
  std::uint64_t flush_bytes = 0;  // of them
  std::uint64_t merges = 0;       // taken over from a Compactor
  std::uint64_t merge_bytes = 0;  // of the layers that they made
};

// One per store directory at a time. Not thread-safe.
class Writer {
 public:
  // Creates the directory with an empty manifest. Throws kInvalid when there is a store already, and kCorrupt when
  // there are layers without a manifest.
  static void create_store(Env& env, const std::string& directory, const StoreIdentity& identity);
  [[nodiscard]] static bool store_exists(Env& env, const std::string& directory);
  // Removes the store's files, the manifest first: from then on there is no store. Readers of it get errors. The
  // numbers of its layers are not given out again by a SharedStore that has seen them.
  static void destroy_store(Env& env, const std::string& directory);

  // Opens: replays the manifest, drops what a crash left half-written, removes files that it does not name, and
  // publishes the layer map in `shared`. `shared` must be freshly created or hold what an earlier Writer left there
  // (a worker that died): its memtables are emptied.
  Writer(Env& env, std::string directory, SharedStore& shared, StoreOptions options = {}, FlusherHooks hooks = {});
  ~Writer();

  [[nodiscard]] const StoreIdentity& identity() const;
  [[nodiscard]] Horizon horizon() const;
  // Every version with LSN <= flushed_lsn() is in layer files: ingest resumes at the record that begins there.
  // After a baseline and before the first flush this is the baseline's start.
  [[nodiscard]] Lsn flushed_lsn() const;
  // Oldest first, kMaxProofs at most. The last one is behind flushed_lsn(): WAL that has it is the WAL that the store
  // was made of. Empty in stores of manifest format version 1.
  [[nodiscard]] const std::vector<JoinProof>& proofs() const;
  // Adds one without a flush. REQUIRES: FlusherHooks::prove.
  void add_proof();

  // Adds the versions of one WAL record that ends at `end` (all of them have lsn == end), in any order; two versions
  // of one key at one LSN apply in the order given. They are readable once visible_lsn() is raised with publish(). When
  // there is no room, everything before this record is published, and its flush is started; only while the memtable
  // before that is still being flushed, put() waits. A record too large for an empty memtable is published and written
  // to a layer of its own at once: one call must bring all of such a record. REQUIRES: `end` is not lower than in any
  // call before, and above visible_lsn(); no baseline is being taken. When it throws, nothing was added, and the same
  // call may be tried again.
  void put(std::span<const Entry> entries, Lsn end);
  // Makes everything up to `end` visible to readers. REQUIRES: end is a record boundary.
  void publish(Lsn end);

  // A page of that kind of which the memtable that is filled has StoreOptions::memtable_chain versions in a row or
  // more, none of them a base. It is told of once, and again after as many more.
  [[nodiscard]] std::optional<Key> take_long_chain(KeyKind kind);
  // A page as its newest version, at `lsn`, leaves it: a base behind a long chain. False, and nothing was done, when
  // there is no room, or when the memtable that is filled has no version of it or a newer one.
  // REQUIRES: everything that was put is published.
  bool put_image(const Key& key, Lsn lsn, std::string_view page);

  // Writes the memtable to an L0 layer and names it in the manifest, durably. flushed_lsn() becomes visible_lsn(); what
  // was put but not published stays in the memtable. When it throws, nothing is lost, and it may be called again.
  void flush();
  // The same beside, where there is a Flusher: serve_flusher() brings it to its end. Nothing when a flush is under way.
  void start_flush();
  // Names the layer that the Flusher has made; makes it here when the Flusher failed or is gone. Cheap when there is
  // nothing to do; call it often. Returns whether flushed_lsn() has risen. Throws like flush().
  bool serve_flusher();

  // The baseline: images in key order, written to image layers at `lsn` (each entry's lsn is `lsn`).
  // Nothing is visible before finish_baseline; a store that has a baseline refuses another. When a call throws anything
  // but kInvalid, the baseline is abandoned and has to begin anew.
  void begin_baseline(Lsn lsn);           // REQUIRES: nothing was ever put or published
  void add_baseline(const Entry& entry);  // REQUIRES: keys strictly ascending
  [[nodiscard]] std::uint64_t baseline_bytes() const;
  void finish_baseline(const Horizon& horizon);

  // Installs the result that a Compactor has submitted, as one edit, and removes obsolete files. Cheap
  // when there is nothing to do; call it often. Returns whether the layer map changed. Throws what keeps the edit
  // from being durable: the merge is refused then.
  bool serve_compactor();

  [[nodiscard]] std::vector<LayerInfo> layers() const;
  [[nodiscard]] const WriteCounters& counters() const;

  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The versions of one key that rebuild its state at an LSN: chain[0] is the base unless none was found, then the newer
// ones, oldest first.
using Chain = std::vector<Version>;

// What a Reader has done with layers since it was made; ever rising.
struct ReadCounters {
  std::uint64_t lookups = 0;  // layers whose index was searched, once for each key
  std::uint64_t layers = 0;   // the same, each layer once between two calls of Reader::mark_layers()
  std::uint64_t blocks = 0;   // read from files, not found in the cache; header and footer are one each
  std::uint64_t bytes = 0;    // of them, as stored
};

struct ReaderOptions {
  // Decoded blocks that are kept. What stands at the ends of open layers (top index, filter) comes on top of it.
  std::size_t cache_bytes = std::size_t{32} << 20;
};

// Not thread-safe; any number of processes at once. A visitor may call the same Reader again.
class Reader {
 public:
  // `shared` may be null: then only layer files are read (tools), as the manifest names them now.
  // Takes one of SharedStore::kReaderSlots until destroyed, so that no file goes away while it is used: a process that
  // ends without destroying its Reader must call SharedStore::release_slots(). When none is free the Reader works, but
  // keeps nothing between calls.
  Reader(Env& env, std::string directory, SharedStore* shared, ReaderOptions options = {});
  ~Reader();

  [[nodiscard]] Horizon horizon();
  // As Writer::flushed_lsn().
  [[nodiscard]] Lsn flushed_lsn();
  [[nodiscard]] StoreIdentity identity();
  [[nodiscard]] std::vector<LayerInfo> layers();

  [[nodiscard]] const ReadCounters& counters() const;
  // From here on every layer counts as not yet looked into.
  void mark_layers();

  // How much it takes to rebuild a page: chains of page versions that are picked at random, each version in delta
  // layers being as likely as any other; `samples` at most. No value is read.
  struct ChainLength {
    std::uint32_t versions = 0;  // to be applied to the base
    std::uint64_t bytes = 0;     // of their values
  };
  [[nodiscard]] std::vector<ChainLength> sample_chains(std::size_t samples, std::uint64_t seed);

  // The chain of `key` at `at` (inclusive: version LSNs <= at), not looking at versions with LSN <= floor. Empty when
  // there is no version in (floor, at]. Without a base, all versions in the range (the caller knows what precedes
  // them).
  [[nodiscard]] Chain chain(const Key& key, Lsn at, Lsn floor = kInvalidLsn);

  // The same for many keys in ascending order, planned over all layers before any value is read; each value block is
  // decoded once. `visit(i, chain)` is called for i = 0 .. keys.size() - 1 in order.
  void chains(std::span<const Key> keys, Lsn at, Lsn floor, const std::function<void(std::size_t, Chain&&)>& visit);

  // The newest version of `key` at `at`, if any in (floor, at].
  [[nodiscard]] std::optional<Version> newest(const Key& key, Lsn at, Lsn floor = kInvalidLsn);

  // The lowest key in [first, last] that has a version with LSN <= at, and its newest such version.
  [[nodiscard]] std::optional<std::pair<Key, Version>> first_in(const Key& first, const Key& last, Lsn at);

  // The lowest time mark in [first, last] with LSN <= at, and its version. Marks rise in time and in LSN together, so
  // that the oldest layers that have one, or else the memtable, are enough; layers that cannot be read and cannot have
  // it are gone past. REQUIRES: both are keys of kind kTimeMark.
  [[nodiscard]] std::optional<std::pair<Key, Version>> first_mark_in(const Key& first, const Key& last,
                                                                     Lsn at = kMaxLsn);
  // The same, but where layers cannot be read it may be a later mark of those in the range.
  [[nodiscard]] std::optional<std::pair<Key, Version>> any_mark_in(const Key& first, const Key& last, Lsn at);

  // All keys in [first, last] that have a version in (floor, at], ascending, each with its newest such version, until
  // visit returns false. Layers that have nothing above `floor` are not looked into.
  void scan(const Key& first, const Key& last, Lsn at, const std::function<bool(const Key&, const Version&)>& visit,
            Lsn floor = kInvalidLsn);

  // All versions of `key` with LSN in (floor, at], newest first, past bases too, until visit returns false.
  void history(const Key& key, Lsn at, Lsn floor, const std::function<bool(const Version&)>& visit);

  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace strata
