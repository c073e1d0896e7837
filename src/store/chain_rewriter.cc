#include "store/chain_rewriter.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "store/page_diff.h"
#include "store/no_postgres.h"

namespace strata {

void ChainRewriter::forget() {
  known_ = false;
  records_ = bytes_ = 0;
  pending_.clear();
}

// The first version comes at `lsn`: finds out what is before it.
void ChainRewriter::enter_incarnation(Lsn lsn) {
  if (lsn - 1 <= floor_) return;
  before_ = reader_.chain(key_, lsn - 1, floor_);
  if (before_.empty() || !before_.front().base) return;
  for (const Version& version : before_) note(version);
}

// Takes a version into the chain as it is written.
void ChainRewriter::note(const Version& version) {
  if (version.base) {
    known_ = true;
    records_ = bytes_ = 0;
    pending_.clear();
    rebuilder_.begin(key_);
  } else {
    ++records_;
    bytes_ += version.value.size();
  }
  if (known_) pending_.push_back(&version);
}

void ChainRewriter::note(Group group) {
  for (const MergedVersion& one : group) note(one.version);
}

void ChainRewriter::catch_up() {
  for (const Version* version : pending_) rebuilder_.apply(*version);
  pending_.clear();
}

// Makes a diff of a long value, where that is short and the chain has room for it. False: the version has not been
// taken into the chain.
bool ChainRewriter::delta_encode(MergedVersion& one) {
  if (key_.kind != KeyKind::kPage || !known_ || one.version.value.size() < bounds_.min_value_bytes) return false;
  if (records_ + 1 >= bounds_.records || bytes_ >= bounds_.bytes) return false;
  catch_up();
  const std::string before(rebuilder_.page());
  rebuilder_.apply(one.version);
  auto diff = make_page_diff(before, rebuilder_.page(), bounds_.diff_bytes);
  if (!diff || diff->size() * 4 > one.version.value.size()) {
    if (one.version.base) return false;
    // It stays, and is applied already.
    ++records_;
    bytes_ += one.version.value.size();
    return true;
  }
  one.version.type = EntryType::kPageDiff;
  one.version.base = false;
  one.version.value = std::move(*diff);
  ++records_;
  bytes_ += one.version.value.size();
  ++counters_.diffs;
  return true;
}

void ChainRewriter::add(Group group, bool make_image) {
  if (group.size() != 1 || make_image || !delta_encode(group.front())) note(group);
  const bool is_page = key_.kind == KeyKind::kPage;
  const bool too_long = records_ >= bounds_.versions_of(key_.kind) || (is_page && bytes_ > bounds_.bytes);
  if (!known_ || records_ == 0 || (!too_long && !make_image)) return;
  catch_up();
  // An image in the place of all of them.
  MergedVersion& image = group.front();
  image.sequence = group.back().sequence;
  image.version.type = EntryType::kImage;
  image.version.base = true;
  image.version.value = Value::copy_of(rebuilder_.page());
  out_.resize(out_.size() - (group.size() - 1));
  ++counters_.images;
  records_ = bytes_ = 0;
}

void ChainRewriter::rewrite(const Key& key, std::vector<MergedVersion>& versions, bool begin_with_image) {
  if (!holds_pages(key.kind)) return;
  key_ = key;
  out_.clear();
  out_.reserve(versions.size());  // so that what pending_ refers to stays where it is
  bool first = true;
  for (auto begin = versions.begin(); begin != versions.end();) {
    pause_();
    const Lsn lsn = begin->version.lsn;
    auto end = begin;
    while (end != versions.end() && end->version.lsn == lsn) ++end;
    const auto size = static_cast<std::size_t>(end - begin);
    std::move(begin, end, std::back_inserter(out_));
    Group group = Group(out_).last(size);
    if (size > 1 && group.back().version.base) {
      // What comes before a base at the same LSN is never seen.
      std::swap(group.front(), group.back());
      out_.resize(out_.size() - (size - 1));
      group = Group(out_).last(1);
    }
    begin = end;

    const Lsn floor = key.kind == KeyKind::kPage ? incarnations_.floor_at(key, lsn - 1) : kInvalidLsn;
    if (first || floor != floor_) {
      floor_ = floor;
      forget();
      if (first) enter_incarnation(lsn);
    }
    try {
      add(group, first && begin_with_image);
    } catch (const StoreError& error) {
      if (error.kind() != ErrorKind::kCorrupt) throw;
      ++counters_.unknown;
      forget();
      note(group);
    }
    first = false;
  }
  versions.swap(out_);
}

}  // namespace strata
