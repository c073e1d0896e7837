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
constexpr std::size_t kMemtableBytesPerBucket = 512;

constexpr std::size_t round_up(std::size_t n, std::size_t unit) { return (n + unit - 1) / unit * unit; }

std::uint64_t hash_of(const Key& key) {
  std::uint64_t h = (std::uint64_t{key.relation} << 32 | key.block) * 0x9E3779B97F4A7C15;
  h ^= h >> 32;
  h += std::uint64_t{key.database} << 32 | key.tablespace;
  h = (h ^ (std::uint64_t{key.fork} << 8 | static_cast<std::uint64_t>(key.kind))) * 0xBF58476D1CE4E5B9;
  return h ^ h >> 32;
}

}  // namespace

std::size_t Memtable::key_bytes() { return round_up(sizeof(KeyNode), kUnit); }

std::size_t Memtable::group_bytes(std::uint32_t height, std::uint32_t width) {
  return round_up(sizeof(Group) + (height + width) * sizeof(std::atomic<Link>), kUnit);
}

std::size_t Memtable::version_bytes(std::size_t value_bytes) {
  return round_up(sizeof(VersionNode) + value_bytes, kUnit);
}

std::size_t Memtable::space_for(std::size_t value_bytes) {
  return group_bytes(kMaxHeight, kMaxWidth) + key_bytes() + version_bytes(value_bytes);
}

Memtable& Memtable::format(void* memtable, std::size_t bytes) {
  static_assert(std::is_trivially_destructible_v<Memtable>);
  static_assert(alignof(KeyNode) <= kUnit && alignof(Group) <= kUnit && alignof(VersionNode) <= kUnit &&
                sizeof(Memtable) % alignof(Link) == 0);
  auto* table = new (memtable) Memtable;
  // A link of 32 bits reaches this far.
  constexpr std::size_t kReach = kUnit * (std::size_t{1} << 32) - kUnit;
  table->bytes_ = std::min(bytes / kUnit * kUnit, kReach);
  table->seed_ = kSeed;
  table->bucket_mask_ = std::bit_floor(bytes / kMemtableBytesPerBucket) - 1;
  table->reset();
  return *table;
}

std::size_t Memtable::header_bytes() const {
  return round_up(sizeof(Memtable) + (bucket_mask_ + 1) * sizeof(Link), kUnit);
}

void Memtable::reset() {
  versions_end_ = header_bytes();
  keys_begin_ = bytes_;
  for (auto& link : head_) link.store(0, std::memory_order_relaxed);
  std::fill_n(buckets(), bucket_mask_ + 1, Link{0});
}

std::size_t Memtable::free_bytes() const { return keys_begin_ - versions_end_; }
std::size_t Memtable::used_bytes() const { return versions_end_ - header_bytes() + bytes_ - keys_begin_; }

std::byte* Memtable::take_for_version(std::size_t bytes) {
  std::byte* begin = reinterpret_cast<std::byte*>(this) + versions_end_;
  versions_end_ += bytes;
  return begin;
}

std::byte* Memtable::take_for_keys(std::size_t bytes) {
  keys_begin_ -= bytes;
  return reinterpret_cast<std::byte*>(this) + keys_begin_;
}

Memtable::Link Memtable::link_to(const void* node) const {
  return static_cast<Link>(
      static_cast<std::size_t>(static_cast<const std::byte*>(node) - reinterpret_cast<const std::byte*>(this)) / kUnit);
}

const Memtable::Group* Memtable::first_not_before(const Key& first) const {
  const std::atomic<Link>* links = head_.data();
  const Group* last_seen = nullptr;
  for (std::uint32_t level = kMaxHeight - 1;; --level) {
    const auto* next = at<Group>(links[level].load(std::memory_order_acquire));
    while (next != nullptr && next != last_seen && next->first < first) {
      links = next->links();
      next = at<Group>(links[level].load(std::memory_order_acquire));
    }
    if (level == 0) return next;
    last_seen = next;
  }
}

std::uint32_t Memtable::random_height() {
  seed_ ^= seed_ << 13;
  seed_ ^= seed_ >> 7;
  seed_ ^= seed_ << 17;
  std::uint32_t height = 1;
  for (std::uint64_t bits = seed_ >> 8; height < kMaxHeight && (bits & 3) == 0; bits >>= 2) ++height;
  return height;
}

std::uint32_t Memtable::add(const Entry& entry, std::uint32_t sequence) { return add(entry, sequence, 0); }

void Memtable::add_copy(const Cursor& from) { add(from.entry(), from.sequence(), from.group_->height); }

std::uint32_t Memtable::add(const Entry& entry, std::uint32_t sequence, std::uint32_t height) {
  const Key first = first_of_group(entry.key);
  const std::uint32_t slot = entry.key.block - first.block;
  Link& bucket = buckets()[hash_of(first) & bucket_mask_];
  // Only this thread changes nodes, so that what it loads is what it stored.
  auto* group = const_cast<Group*>(at<Group>(bucket));
  while (group != nullptr && group->first != first) group = const_cast<Group*>(at<Group>(group->next_in_bucket));
  auto* node = group == nullptr
                   ? nullptr
                   : const_cast<KeyNode*>(at<KeyNode>(group->keys()[slot].load(std::memory_order_relaxed)));
  const bool is_known = node != nullptr;
  if (!is_known) node = new (take_for_keys(key_bytes())) KeyNode{};
  node->records = entry.base ? 0 : node->records + 1;
  node->longest = std::max(node->longest, node->records);
  // A release makes all of the version visible to whoever follows the link.
  node->newest.store(add_version(entry, sequence, *node), std::memory_order_release);
  if (is_known) return node->records;
  if (group != nullptr) {
    group->keys()[slot].store(link_to(node), std::memory_order_release);
  } else {
    add_group(first, bucket, slot, link_to(node), height == 0 ? random_height() : height);
  }
  return node->records;
}

bool Memtable::is_milestone(Link version) {
  std::uint32_t hash = version * 0x9E3779B1U;
  hash = (hash ^ hash >> 15) * 0x85EBCA77U;
  return hash >> 28 == 0;
}

Memtable::Link Memtable::add_version(const Entry& entry, std::uint32_t sequence, KeyNode& key) {
  auto* node = new (take_for_version(version_bytes(entry.value.size()))) VersionNode;
  const Link link = link_to(node);
  node->older = key.newest.load(std::memory_order_relaxed);
  node->jump = key.milestone;
  node->span = 1;
  if (is_milestone(link)) {
    // Two jumps of one length, one behind the other, become one that is as long as both: any milestone is reached in a
    // logarithmic number of steps.
    const auto* first = at<VersionNode>(key.milestone);
    const auto* second = first == nullptr ? nullptr : at<VersionNode>(first->jump);
    if (second != nullptr && second->span == first->span) {
      node->jump = second->jump;
      node->span = 1 + first->span + second->span;
    }
    key.milestone = link;
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

void Memtable::add_group(const Key& first, Link& bucket, std::uint32_t slot, Link key, std::uint32_t height) {
  std::array<std::atomic<Link>*, kMaxHeight> previous;
  auto* links = head_.data();
  for (std::uint32_t level = kMaxHeight; level-- > 0;) {
    auto* next = const_cast<Group*>(at<Group>(links[level].load(std::memory_order_relaxed)));
    while (next != nullptr && next->first < first) {
      links = next->links();
      next = const_cast<Group*>(at<Group>(links[level].load(std::memory_order_relaxed)));
    }
    previous[level] = &links[level];
  }

  const std::uint32_t width = width_of(first.kind);
  auto* group = new (take_for_keys(group_bytes(height, width))) Group;
  group->first = first;
  group->next_in_bucket = bucket;
  group->height = height;
  for (std::uint32_t level = 0; level < height; ++level) {
    new (&group->links()[level]) std::atomic<Link>(previous[level]->load(std::memory_order_relaxed));
  }
  for (std::uint32_t i = 0; i < width; ++i) new (&group->keys()[i]) std::atomic<Link>(i == slot ? key : 0);
  bucket = link_to(group);
  for (std::uint32_t level = 0; level < height; ++level) {
    previous[level]->store(bucket, std::memory_order_release);
  }
}

void Memtable::Cursor::enter(const Group* group, std::uint32_t slot) {
  for (; group != nullptr; group = table_->at<Group>(group->links()[0].load(std::memory_order_acquire)), slot = 0) {
    for (; slot < group->width(); ++slot) {
      const auto* key = table_->at<KeyNode>(group->keys()[slot].load(std::memory_order_acquire));
      if (key == nullptr) continue;
      group_ = group;
      slot_ = slot;
      key_ = key;
      version_ = table_->at<VersionNode>(key->newest.load(std::memory_order_acquire));
      const Link beside = slot + 1 < group->width() ? group->keys()[slot + 1].load(std::memory_order_relaxed) : 0;
      const Link behind = group->links()[0].load(std::memory_order_relaxed);
      __builtin_prefetch(table_->at<KeyNode>(beside != 0 ? beside : behind));
      return;
    }
  }
  group_ = nullptr;
  key_ = nullptr;
  version_ = nullptr;
}

void Memtable::Cursor::seek_first() { enter(table_->at<Group>(table_->head_[0].load(std::memory_order_acquire)), 0); }

void Memtable::Cursor::seek(const Key& key, Lsn at) {
  const Key first = first_of_group(key);
  const Group* group = table_->first_not_before(first);
  enter(group, group != nullptr && group->first == first ? key.block - first.block : 0);
  if (!valid() || this->key() != key) return;
  while (version_ != nullptr && version_->lsn > at) {
    const auto* further = table_->at<VersionNode>(version_->jump);
    version_ = further != nullptr && further->lsn > at ? further : table_->at<VersionNode>(version_->older);
  }
  if (version_ == nullptr) next_key();
}

void Memtable::Cursor::next_key() { enter(group_, slot_ + 1); }

void Memtable::Cursor::next() {
  version_ = table_->at<VersionNode>(version_->older);
  if (version_ == nullptr) {
    next_key();
    return;
  }
  __builtin_prefetch(table_->at<VersionNode>(version_->older));
}

Key Memtable::Cursor::key() const {
  Key key = group_->first;
  key.block += slot_;
  return key;
}
Lsn Memtable::Cursor::lsn() const { return version_->lsn; }
std::uint32_t Memtable::Cursor::sequence() const { return version_->sequence; }
std::uint32_t Memtable::Cursor::longest_chain() const { return key_->longest; }

Entry Memtable::Cursor::entry() const {
  return Entry{.key = key(),
               .lsn = version_->lsn,
               .type = version_->type,
               .base = version_->base,
               .value = {version_->value(), version_->value_bytes},
               .in_wal = version_->in_wal};
}

}  // namespace strata
