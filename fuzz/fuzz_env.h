// What the fuzz targets have in common: a file in memory, and parsers that may only refuse.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "store/env.h"
#include "store/error.h"

namespace strata::fuzz {

class MemoryFile : public ReadableFile {
 public:
  explicit MemoryFile(std::string content) : content_(std::move(content)) {}
  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset > content_.size() || out.size() > content_.size() - offset) {
      throw StoreError(ErrorKind::kCorrupt, "the file ends too early");
    }
    std::copy_n(reinterpret_cast<const std::byte*>(content_.data()) + offset, out.size(), out.data());
  }
  [[nodiscard]] std::uint64_t size() const override { return content_.size(); }

 private:
  std::string content_;
};

// One file, whatever it is called. Nothing can be written.
class MemoryEnv : public Env {
 public:
  explicit MemoryEnv(std::string content) : content_(std::move(content)) {}
  std::unique_ptr<ReadableFile> open(const std::string&) override { return std::make_unique<MemoryFile>(content_); }
  std::unique_ptr<WritableFile> create(const std::string&) override { refuse(); }
  std::unique_ptr<WritableFile> append_to(const std::string&) override { refuse(); }
  bool exists(const std::string&) override { return true; }
  std::vector<std::string> list(const std::string&) override { return {}; }
  void create_directory(const std::string&) override { refuse(); }
  void sync_directory(const std::string&) override { refuse(); }
  void rename(const std::string&, const std::string&) override { refuse(); }
  void remove(const std::string&) override { refuse(); }
  void truncate(const std::string&, std::uint64_t) override { refuse(); }

 private:
  [[noreturn]] static void refuse() { throw StoreError(ErrorKind::kInvalid, "read-only"); }
  std::string content_;
};

// Any error of the store is a right answer; anything else is for the fuzzer to report.
template <class Parse>
int parse(Parse&& body) {
  try {
    body();
  } catch (const StoreError&) {
  }
  return 0;
}

}  // namespace strata::fuzz
