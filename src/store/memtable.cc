#include "store/memtable.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <type_traits>

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::uint64_t kSeed = 0x9E3779B97F4A7C15;
constexpr std::size_t kArenaBytesPerBucket = 256;

constexpr std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

std::uint64_t hash_of(const Key& key) {
  std::uint64_t h = (std::uint64_t{key.relation} << 32 | key.block) * 0x9E3779B97F4A7C15;
  h ^= h >> 32;
  h += std::uint64_t{key.database} << 32 | key.tablespace;
  h = (h ^ (std::uint64_t{key.fork} << 8 | static_cast<std::uint64_t>(key.kind))) * 0xBF58476D1CE4E5B9;
  return h ^ h >> 32;
}

}  // namespace

std::size_t Memtable::key_bytes(int height) {
  return round_up(sizeof(KeyNode) + static_cast<std::size_t>(height) * sizeof(std::atomic<Link>), kUnit);
}

std::size_t Memtable::version_bytes(std::size_t value_bytes) {
  return round_up(sizeof(VersionNode) + value_bytes, kUnit);
}

std::size_t Memtable::space_for(std::size_t value_bytes) { return key_bytes(kMaxHeight) + version_bytes(value_bytes); }

Memtable& Memtable::format(void* arena, std::size_t bytes) {
  static_assert(std::is_trivially_destructible_v<Memtable>);
  static_assert(alignof(KeyNode) <= kUnit && alignof(VersionNode) <= kUnit && sizeof(Memtable) % alignof(Link) == 0);
  auto* table = new (arena) Memtable;
  // A link of 32 bits reaches this far.
  constexpr std::size_t kReach = kUnit * (std::size_t{1} << 32) - kUnit;
  table->bytes_ = std::min(bytes, kReach);
  table->seed_ = kSeed;
  table->bucket_mask_ = std::bit_floor(bytes / kArenaBytesPerBucket) - 1;
  table->reset();
  return *table;
}

std::size_t Memtable::header_bytes() const {
  return round_up(sizeof(Memtable) + (bucket_mask_ + 1) * sizeof(Link), kUnit);
}

void Memtable::reset() {
  used_ = header_bytes();
  for (auto& link : head_) link.store(0, std::memory_order_relaxed);
  std::fill_n(buckets(), bucket_mask_ + 1, Link{0});
}

std::size_t Memtable::free_bytes() const { return bytes_ - used_; }
std::size_t Memtable::used_bytes() const { return used_ - header_bytes(); }

const Memtable::KeyNode* Memtable::first_not_before(const Key& key) const {
  const std::atomic<Link>* links = head_.data();
  const KeyNode* last_seen = nullptr;
  for (int level = kMaxHeight - 1;; --level) {
    const auto* next = at<KeyNode>(links[level].load(std::memory_order_acquire));
    while (next != nullptr && next != last_seen && next->key < key) {
      links = next->links();
      next = at<KeyNode>(links[level].load(std::memory_order_acquire));
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

void Memtable::add(const Entry& entry, std::uint32_t sequence) { add(entry, sequence, 0); }

void Memtable::add_copy(const Cursor& from) { add(from.entry(), from.sequence(), static_cast<int>(from.key_->height)); }

void Memtable::add(const Entry& entry, std::uint32_t sequence, int height) {
  Link& bucket = buckets()[hash_of(entry.key) & bucket_mask_];
  // Only this thread changes nodes, so that what it loads is what it stored.
  auto* node = const_cast<KeyNode*>(at<KeyNode>(bucket));
  while (node != nullptr && node->key != entry.key) node = const_cast<KeyNode*>(at<KeyNode>(node->next_in_bucket));
  if (node == nullptr) {
    add_key(entry.key, bucket, add_version(entry, sequence, 0), entry.base, height == 0 ? random_height() : height);
    return;
  }
  const Link version = add_version(entry, sequence, node->newest.load(std::memory_order_relaxed));
  node->records = entry.base ? 0 : node->records + 1;
  node->longest = std::max(node->longest, node->records);
  // The release makes all of the version visible to whoever follows the link.
  node->newest.store(version, std::memory_order_release);
}

Memtable::Link Memtable::add_version(const Entry& entry, std::uint32_t sequence, Link older) {
  const auto link = static_cast<Link>(used_ / kUnit);
  auto* node = new (reinterpret_cast<std::byte*>(this) + used_) VersionNode;
  used_ += version_bytes(entry.value.size());
  node->older = older;
  // Two jumps of one length, one behind the other, become one that is as long as both: any version is reached in a
  // logarithmic number of steps.
  node->jump = older;
  node->span = 1;
  if (const auto* first = at<VersionNode>(older)) {
    const auto* second = at<VersionNode>(first->jump);
    if (second != nullptr && second->span == first->span) {
      node->jump = second->jump;
      node->span = 1 + first->span + second->span;
    }
  }
  node->sequence = sequence;
  node->lsn = entry.lsn;
  node->value_bytes = static_cast<std::uint32_t>(entry.value.size());
  node->type = entry.type;
  node->base = entry.base;
  node->in_wal = entry.in_wal;
  if (!entry.value.empty()) {
    std::memcpy(const_cast<std::byte*>(node->value()), entry.value.data(), entry.value.size());
  }
  return link;
}

void Memtable::add_key(const Key& key, Link& bucket, Link version, bool base, int height) {
  std::array<std::atomic<Link>*, kMaxHeight> previous;
  auto* links = head_.data();
  for (int level = kMaxHeight - 1; level >= 0; --level) {
    auto* next = const_cast<KeyNode*>(at<KeyNode>(links[level].load(std::memory_order_relaxed)));
    while (next != nullptr && next->key < key) {
      links = next->links();
      next = const_cast<KeyNode*>(at<KeyNode>(links[level].load(std::memory_order_relaxed)));
    }
    previous[static_cast<std::size_t>(level)] = &links[level];
  }

  const auto link = static_cast<Link>(used_ / kUnit);
  auto* node = new (reinterpret_cast<std::byte*>(this) + used_) KeyNode;
  used_ += key_bytes(height);
  node->key = key;
  node->newest.store(version, std::memory_order_relaxed);
  node->next_in_bucket = bucket;
  node->records = node->longest = base ? 0 : 1;
  node->height = static_cast<std::uint32_t>(height);
  for (int level = 0; level < height; ++level) {
    new (&node->links()[level])
        std::atomic<Link>(previous[static_cast<std::size_t>(level)]->load(std::memory_order_relaxed));
  }
  bucket = link;
  for (int level = 0; level < height; ++level) {
    previous[static_cast<std::size_t>(level)]->store(link, std::memory_order_release);
  }
}

void Memtable::Cursor::enter(const KeyNode* key) {
  key_ = key;
  version_ = nullptr;
  if (key == nullptr) return;
  version_ = table_->at<VersionNode>(key->newest.load(std::memory_order_acquire));
  __builtin_prefetch(table_->at<KeyNode>(key->links()[0].load(std::memory_order_relaxed)));
}

void Memtable::Cursor::seek_first() { enter(table_->at<KeyNode>(table_->head_[0].load(std::memory_order_acquire))); }

void Memtable::Cursor::seek(const Key& key, Lsn at) {
  enter(table_->first_not_before(key));
  if (!valid() || key_->key != key) return;
  while (version_ != nullptr && version_->lsn > at) {
    const auto* further = table_->at<VersionNode>(version_->jump);
    version_ = further != nullptr && further->lsn > at ? further : table_->at<VersionNode>(version_->older);
  }
  if (version_ == nullptr) next_key();
}

void Memtable::Cursor::next_key() { enter(table_->at<KeyNode>(key_->links()[0].load(std::memory_order_acquire))); }

void Memtable::Cursor::next() {
  version_ = table_->at<VersionNode>(version_->older);
  if (version_ == nullptr) {
    next_key();
    return;
  }
  __builtin_prefetch(table_->at<VersionNode>(version_->older));
}

const Key& Memtable::Cursor::key() const { return key_->key; }
Lsn Memtable::Cursor::lsn() const { return version_->lsn; }
std::uint32_t Memtable::Cursor::sequence() const { return version_->sequence; }
std::uint32_t Memtable::Cursor::longest_chain() const { return key_->longest; }

Entry Memtable::Cursor::entry() const {
  return Entry{.key = key_->key,
               .lsn = version_->lsn,
               .type = version_->type,
               .base = version_->base,
               .value = {version_->value(), version_->value_bytes},
               .in_wal = version_->in_wal};
}

}  // namespace strata
