// The entries of one WAL record, with the bytes of their values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <vector>

#include "store/entry.h"

namespace strata::ingest {

// Spans that it hands out hold until clear().
class EntryBatch {
 public:
  // Forgets all entries; those to come have version `lsn`.
  void clear(Lsn lsn) {
    lsn_ = lsn;
    entries_.clear();
    large_.clear();
    used_ = 0;
  }

  // Uninitialised memory, aligned to 8.
  std::span<std::byte> allocate(std::size_t bytes) {
    const std::size_t padded = (bytes + 7) & ~std::size_t{7};
    if (used_ + padded <= kChunkBytes) {
      if (!chunk_) chunk_ = std::make_unique<std::byte[]>(kChunkBytes);
      std::byte* start = chunk_.get() + used_;
      used_ += padded;
      return {start, bytes};
    }
    large_.push_back(std::make_unique<std::byte[]>(padded));
    return {large_.back().get(), bytes};
  }

  // `value` must live as long as the batch's own memory: from allocate(), or constant.
  void add(const Key& key, EntryType type, bool base, std::span<const std::byte> value) {
    entries_.push_back({.key = key, .lsn = lsn_, .type = type, .base = base, .value = value});
  }

  // A version whose value stays in WAL, where the store finds it by `reference`, which is copied.
  template <class Reference>
  void add_in_wal(const Key& key, EntryType type, bool base, const Reference& reference) {
    std::span<std::byte> copy = allocate(sizeof(reference));
    std::memcpy(copy.data(), &reference, sizeof(reference));
    add(key, type, base, copy);
    entries_.back().in_wal = true;
  }

  // A whole value, copied.
  void add_value(const Key& key, const void* value, std::size_t bytes) {
    std::span<std::byte> copy = allocate(bytes);
    if (bytes > 0) std::memcpy(copy.data(), value, bytes);
    add(key, EntryType::kValue, true, copy);
  }
  void add_u32(const Key& key, std::uint32_t value) { add_value(key, &value, sizeof(value)); }
  void add_u64(const Key& key, std::uint64_t value) { add_value(key, &value, sizeof(value)); }
  // The value that says that what the key names does not exist.
  void add_absent(const Key& key) { add(key, EntryType::kValue, true, {}); }

  [[nodiscard]] std::span<const Entry> entries() const { return entries_; }

 private:
  static constexpr std::size_t kChunkBytes = 512 * 1024;

  Lsn lsn_ = kInvalidLsn;
  std::vector<Entry> entries_;
  std::unique_ptr<std::byte[]> chunk_;
  std::size_t used_ = 0;
  std::vector<std::unique_ptr<std::byte[]>> large_;
};

}  // namespace strata::ingest
