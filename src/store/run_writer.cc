#include "store/run_writer.h"

#include <utility>

#include "store/no_postgres.h"

namespace strata {

RunWriter::RunWriter(Env& env, std::string directory, SharedStore& shared, OutputFiles& files,
                     const StoreOptions& options, std::uint64_t layer_bytes, Form form, std::vector<Key> barriers)
    : env_(env),
      directory_(std::move(directory)),
      shared_(shared),
      files_(files),
      options_(options),
      layer_bytes_(layer_bytes),
      form_(form),
      barriers_(std::move(barriers)) {}

void RunWriter::close_layer() {
  if (current_ != nullptr) finished_.push_back(current_->finish());
  current_.reset();
}

void RunWriter::add(const Entry& entry, std::uint32_t sequence) {
  if (last_key_ != entry.key) {
    if (current_ != nullptr && current_->bytes() >= layer_bytes_) close_layer();
    for (; next_barrier_ < barriers_.size() && barriers_[next_barrier_] < entry.key; ++next_barrier_) close_layer();
    last_key_ = entry.key;
  }
  if (current_ == nullptr) {
    current_ = std::make_unique<LayerWriter>(env_, directory_, shared_.take_layer_number(), form_.image, form_.level,
                                             form_.lsns, options_);
    files_.add(current_->name());
  }
  current_->add(entry, sequence);
}

std::vector<Layer> RunWriter::finish() {
  close_layer();
  return std::move(finished_);
}

}  // namespace strata
