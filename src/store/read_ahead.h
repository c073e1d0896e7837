// Reads a file piece by piece.
#pragma once

#include <cstdint>
#include <memory>

#include "store/coding.h"
#include "store/env.h"

namespace strata {

// Reads more than was asked for while the pieces follow each other: one call to the system for many blocks. Not
// thread-safe.
class ReadAhead {
 public:
  explicit ReadAhead(std::unique_ptr<ReadableFile> file) : file_(std::move(file)), file_bytes_(file_->size()) {}

  [[nodiscard]] const ReadableFile& file() const { return *file_; }
  [[nodiscard]] std::uint64_t file_bytes() const { return file_bytes_; }
  // The bytes there, valid until the next call. Throws StoreError. REQUIRES: they lie within the file.
  [[nodiscard]] Bytes read(std::uint64_t offset, std::size_t size);

 private:
  std::unique_ptr<ReadableFile> file_;
  std::uint64_t file_bytes_;
  std::unique_ptr<std::byte[]> room_;
  std::size_t room_bytes_ = 0;
  std::uint64_t begin_ = 0;  // of what room_ holds
  std::uint64_t end_ = 0;
  std::uint64_t expected_ = 0;  // where the last piece ended
  int following_ = 0;           // pieces that followed the one before them, without one that did not between
};

}  // namespace strata
