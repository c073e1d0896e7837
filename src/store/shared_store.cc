#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <type_traits>

#include "store/error.h"
#include "store/memtable.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::size_t kAlignment = 64;
constexpr std::size_t kMinMemtableBytes = 64 * 1024;

// Pins are held for the time of a lookup in memory; a process that is stopped in there is waited for.
void wait_a_little() {
  const timespec pause{.tv_sec = 0, .tv_nsec = 50'000};
  ::nanosleep(&pause, nullptr);
}

}  // namespace

std::size_t SharedStore::min_size() {
  static_assert(std::is_trivially_destructible_v<SharedStore>);
  return (sizeof(SharedStore) + kAlignment - 1) / kAlignment * kAlignment + kMemtables * kMinMemtableBytes;
}

SharedStore& SharedStore::create(std::span<std::byte> region) {
  if (region.size() < min_size() || reinterpret_cast<std::uintptr_t>(region.data()) % kAlignment != 0) {
    throw StoreError(ErrorKind::kInvalid, "the shared region is too small or not aligned");
  }
  auto* shared = new (region.data()) SharedStore;
  const std::size_t header = min_size() - kMemtables * kMinMemtableBytes;
  const std::size_t bytes = (region.size() - header) / kMemtables / kAlignment * kAlignment;
  for (std::size_t i = 0; i < kMemtables; ++i) {
    shared->memtables_[i].offset = header + i * bytes;
    shared->memtables_[i].bytes = bytes;
    Memtable::format(region.data() + header + i * bytes, bytes);
  }
  return *shared;
}

SharedStore& SharedStore::attach(void* region) { return *std::launder(static_cast<SharedStore*>(region)); }

Memtable& SharedStore::memtable(int i) {
  auto* begin = reinterpret_cast<std::byte*>(this) + memtables_[static_cast<std::size_t>(i)].offset;
  return *std::launder(reinterpret_cast<Memtable*>(begin));
}

Memtable& SharedStore::open_memtable(int i) {
  MemtableState& state = memtables_[static_cast<std::size_t>(i)];
  while (state.pins.load(std::memory_order_seq_cst) != 0) wait_a_little();
  Memtable& table = memtable(i);
  table.reset();
  state.upper.store(kMaxLsn, std::memory_order_seq_cst);
  state.open.store(1, std::memory_order_seq_cst);
  return table;
}

void SharedStore::freeze_memtable(int i, Lsn upper) {
  memtables_[static_cast<std::size_t>(i)].upper.store(upper, std::memory_order_seq_cst);
}

void SharedStore::close_memtable(int i) {
  memtables_[static_cast<std::size_t>(i)].open.store(0, std::memory_order_seq_cst);
}

void SharedStore::restart(Lsn flushed) {
  visible_lsn_.store(flushed, std::memory_order_seq_cst);
  epoch_.fetch_add(1, std::memory_order_seq_cst);
  for (int i = 0; i < kMemtables; ++i) close_memtable(i);
}

int SharedStore::take_reader_slot() {
  if (slot_hook_ != nullptr) slot_hook_();
  for (int i = 0; i < kReaderSlots; ++i) {
    std::uint64_t free = kFree;
    if (!slots_[static_cast<std::size_t>(i)].compare_exchange_strong(free, kNoPin)) continue;
    owners_[static_cast<std::size_t>(i)].store(getpid(), std::memory_order_seq_cst);
    return i;
  }
  return -1;
}

std::uint64_t SharedStore::pin_layer_map(int slot) {
  for (;;) {
    const std::uint64_t version = layer_map_version();
    slots_[static_cast<std::size_t>(slot)].store(version, std::memory_order_seq_cst);
    // The writer raises the version, then looks at the slots: it has seen this one unless the version moved.
    if (layer_map_version() == version) return version;
  }
}

void SharedStore::unpin_layer_map(int slot) {
  slots_[static_cast<std::size_t>(slot)].store(kNoPin, std::memory_order_seq_cst);
}

void SharedStore::release_reader_slot(int slot) {
  if (owner_of_slot(slot) != getpid()) return;
  owners_[static_cast<std::size_t>(slot)].store(0, std::memory_order_seq_cst);
  slots_[static_cast<std::size_t>(slot)].store(kFree, std::memory_order_seq_cst);
}

void SharedStore::release_slots() {
  for (int i = 0; i < kReaderSlots; ++i) release_reader_slot(i);
}

void SharedStore::raise_layer_number(std::uint64_t number) {
  std::uint64_t next = next_layer_number();
  while (next < number && !next_layer_number_.compare_exchange_weak(next, number)) {
  }
}

std::uint64_t SharedStore::oldest_version_in_use() const {
  std::uint64_t oldest = std::numeric_limits<std::uint64_t>::max();
  for (const auto& slot : slots_) {
    const std::uint64_t version = slot.load(std::memory_order_seq_cst);
    if (version != kFree) oldest = std::min(oldest, version);
  }
  return oldest;
}

}  // namespace strata
