// The sizes of relation forks as the WAL read so far leaves them.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "store/store.h"

namespace strata::ingest {

// A fork's size in blocks; none when the fork does not exist.
using ForkSize = std::optional<std::uint32_t>;

// Remembers what was set; what it does not know it reads from the store, following databases to the ones they were
// copied from. Changes since begin() can be taken back. Throws StoreError.
class RelationSizes {
 public:
  // The store must hold, as of `published`, all that was set and then forgotten.
  explicit RelationSizes(Reader& reader) : reader_(reader) {}

  // A new record begins, which ends at `record_end`: what was set before stays.
  void begin(Lsn published, Lsn record_end);
  void roll_back();

  // REQUIRES: size_key.kind is kRelationSize.
  [[nodiscard]] ForkSize get(const Key& size_key);
  void set(const Key& size_key, ForkSize size);

  // Reads anew what is asked of this database from now on. REQUIRES: everything that was set is published.
  void forget_database(std::uint32_t tablespace, std::uint32_t database);

 private:
  struct Hash {
    std::size_t operator()(const Key& key) const;
  };
  struct Change {
    Key key;
    ForkSize before;
    bool known_before;
  };

  // Bounds the memory that forks take which nobody changes any more.
  static constexpr std::size_t kMaxForks = 1'000'000;

  [[nodiscard]] ForkSize read(Key size_key);

  Reader& reader_;
  Lsn published_ = kInvalidLsn;
  Lsn record_end_ = kInvalidLsn;
  Lsn newest_change_ = kInvalidLsn;
  std::unordered_map<Key, ForkSize, Hash> sizes_;
  std::vector<Change> changes_;
};

}  // namespace strata::ingest
