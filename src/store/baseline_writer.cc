#include "store/baseline_writer.h"

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr int kMergedLevel = 1;

}  // namespace

std::uint64_t BaselineWriter::bytes() const { return finished_bytes_ + (current_ == nullptr ? 0 : current_->bytes()); }

void BaselineWriter::add(const Entry& entry) {
  if (entry.lsn != lsn_ || !entry.base || entry.value.size() > kMaxValueBytes) {
    throw StoreError(ErrorKind::kInvalid, "a version of a baseline is a base at the baseline's LSN");
  }
  if (last_key_ && !(*last_key_ < entry.key)) {
    throw StoreError(ErrorKind::kInvalid, "the keys of a baseline ascend");
  }
  if (current_ != nullptr && current_->bytes() >= options_.max_layer_bytes) close_layer();
  if (current_ == nullptr) {
    current_ = std::make_unique<LayerWriter>(env_, manifest_.directory(), manifest_.take_number(), true, kMergedLevel,
                                             LsnRange{.begin = lsn_, .end = lsn_ + 1}, options_);
  }
  current_->add(entry, 0);
  last_key_ = entry.key;
}

void BaselineWriter::close_layer() {
  finished_.push_back(current_->finish());
  finished_bytes_ += finished_.back().info.bytes;
  current_.reset();
}

void BaselineWriter::remove_files() {
  std::vector<std::string> names;
  for (const Layer& layer : finished_) names.push_back(layer.info.name);
  if (current_ != nullptr) names.push_back(current_->name());
  for (const std::string& name : names) {
    try {
      env_.remove(manifest_.directory() + "/" + name);
    } catch (const StoreError&) {
      // The next opening removes it.
    }
  }
}

std::vector<Layer> BaselineWriter::finish() {
  if (current_ != nullptr) close_layer();
  if (!finished_.empty()) env_.sync_directory(manifest_.directory());
  return finished_;
}

}  // namespace strata
