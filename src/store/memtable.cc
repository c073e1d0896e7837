#include "store/memtable.h"

#include <cstring>
#include <new>
#include <type_traits>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::uint64_t kSeed = 0x9E3779B97F4A7C15;

constexpr std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

}  // namespace

std::size_t Memtable::node_bytes(int height, std::size_t value_bytes) {
  return round_up(sizeof(Node) + static_cast<std::size_t>(height) * sizeof(std::atomic<Link>) + value_bytes, kUnit);
}

std::size_t Memtable::space_for(std::size_t value_bytes) { return node_bytes(kMaxHeight, value_bytes); }

Memtable& Memtable::format(void* arena, std::size_t bytes) {
  static_assert(std::is_trivially_destructible_v<Memtable> && sizeof(Node) % kUnit == 0 && alignof(Node) <= kUnit);
  auto* table = new (arena) Memtable;
  // A link of 32 bits reaches this far.
  constexpr std::size_t kReach = kUnit * (std::size_t{1} << 32) - kUnit;
  table->bytes_ = bytes < kReach ? bytes : kReach;
  table->seed_ = kSeed;
  table->reset();
  return *table;
}

void Memtable::reset() {
  used_ = round_up(sizeof(Memtable), kUnit);
  for (auto& link : head_) link.store(0, std::memory_order_relaxed);
}

std::size_t Memtable::free_bytes() const { return bytes_ - used_; }
std::size_t Memtable::used_bytes() const { return used_ - round_up(sizeof(Memtable), kUnit); }

const Memtable::Node* Memtable::at(Link link) const {
  if (link == 0) return nullptr;
  return reinterpret_cast<const Node*>(reinterpret_cast<const std::byte*>(this) + std::size_t{link} * kUnit);
}

bool Memtable::before(const Node& node, const Key& key, Lsn lsn, std::uint32_t sequence) {
  if (const auto order = node.key <=> key; order != 0) return order < 0;
  if (node.lsn != lsn) return node.lsn > lsn;
  return node.sequence > sequence;
}

const Memtable::Node* Memtable::first_not_before(const Key& key, Lsn lsn, std::uint32_t sequence) const {
  const std::atomic<Link>* links = head_.data();
  const Node* last_seen = nullptr;
  for (int level = kMaxHeight - 1;; --level) {
    const Node* next = at(links[level].load(std::memory_order_acquire));
    while (next != nullptr && next != last_seen && before(*next, key, lsn, sequence)) {
      links = next->links();
      next = at(links[level].load(std::memory_order_acquire));
    }
    if (level == 0) return next;
    last_seen = next;
  }
}

int Memtable::random_height() {
  seed_ ^= seed_ << 13;
  seed_ ^= seed_ >> 7;
  seed_ ^= seed_ << 17;
  int height = 1;
  for (std::uint64_t bits = seed_ >> 8; height < kMaxHeight && (bits & 3) == 0; bits >>= 2) ++height;
  return height;
}

void Memtable::add(const Entry& entry, std::uint32_t sequence) { add(entry, sequence, random_height()); }

void Memtable::add_copy(const Cursor& from) { add(from.entry(), from.sequence(), from.node_->height); }

void Memtable::add(const Entry& entry, std::uint32_t sequence, int height) {
  std::array<std::atomic<Link>*, kMaxHeight> previous;
  auto* links = head_.data();
  for (int level = kMaxHeight - 1; level >= 0; --level) {
    // Only this thread stores links, so that what it loads is what it stored.
    auto* next = const_cast<Node*>(at(links[level].load(std::memory_order_relaxed)));
    while (next != nullptr && before(*next, entry.key, entry.lsn, sequence)) {
      links = next->links();
      next = const_cast<Node*>(at(links[level].load(std::memory_order_relaxed)));
    }
    previous[static_cast<std::size_t>(level)] = &links[level];
  }

  const auto link = static_cast<Link>(used_ / kUnit);
  auto* node = new (reinterpret_cast<std::byte*>(this) + used_) Node;
  used_ += node_bytes(height, entry.value.size());
  node->key = entry.key;
  node->sequence = sequence;
  node->lsn = entry.lsn;
  node->value_bytes = static_cast<std::uint32_t>(entry.value.size());
  node->type = entry.type;
  node->base = entry.base;
  node->height = static_cast<std::uint8_t>(height);
  for (int level = 0; level < height; ++level) {
    new (&node->links()[level])
        std::atomic<Link>(previous[static_cast<std::size_t>(level)]->load(std::memory_order_relaxed));
  }
  if (!entry.value.empty()) {
    std::memcpy(const_cast<std::byte*>(node->value()), entry.value.data(), entry.value.size());
  }
  // The release makes all of the node visible to whoever follows the link.
  for (int level = 0; level < height; ++level) {
    previous[static_cast<std::size_t>(level)]->store(link, std::memory_order_release);
  }
}

void Memtable::Cursor::seek_first() { node_ = table_->at(table_->head_[0].load(std::memory_order_acquire)); }

void Memtable::Cursor::seek(const Key& key, Lsn at) {
  node_ = table_->first_not_before(key, at, std::numeric_limits<std::uint32_t>::max());
}

void Memtable::Cursor::next() { node_ = table_->at(node_->links()[0].load(std::memory_order_acquire)); }

const Key& Memtable::Cursor::key() const { return node_->key; }
Lsn Memtable::Cursor::lsn() const { return node_->lsn; }
std::uint32_t Memtable::Cursor::sequence() const { return node_->sequence; }
bool Memtable::Cursor::base() const { return node_->base; }

Entry Memtable::Cursor::entry() const {
  return Entry{.key = node_->key,
               .lsn = node_->lsn,
               .type = node_->type,
               .base = node_->base,
               .value = {node_->value(), node_->value_bytes}};
}

}  // namespace strata
