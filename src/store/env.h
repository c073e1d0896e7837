// All I/O of the store goes through this interface: in the server over PostgreSQL's virtual file descriptors, in tools
// over POSIX, in tests with faults injected.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "store/wal_values.h"

namespace strata {

// A file open for positioned reads. Every function throws StoreError.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  // Fills `out` wholly from `offset`, or throws (kCorrupt when the file ends before).
  virtual void read(std::uint64_t offset, std::span<std::byte> out) const = 0;
  [[nodiscard]] virtual std::uint64_t size() const = 0;
};

// A file open for appending. Not durable before sync().
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual void append(std::span<const std::byte> data) = 0;
  virtual void sync() = 0;
  virtual void close() = 0;
};

class Env {
 public:
  virtual ~Env() = default;
  virtual std::unique_ptr<ReadableFile> open(const std::string& path) = 0;
  // Creates or truncates.
  virtual std::unique_ptr<WritableFile> create(const std::string& path) = 0;
  // Opens an existing file to append at its end.
  virtual std::unique_ptr<WritableFile> append_to(const std::string& path) = 0;
  [[nodiscard]] virtual bool exists(const std::string& path) = 0;
  // Names, not paths, without "." and "..". Unsorted.
  virtual std::vector<std::string> list(const std::string& directory) = 0;
  virtual void create_directory(const std::string& path) = 0;  // no error when it exists
  virtual void sync_directory(const std::string& path) = 0;
  virtual void rename(const std::string& from, const std::string& to) = 0;  // atomic
  virtual void remove(const std::string& path) = 0;                         // no error when it is gone
  virtual void truncate(const std::string& path, std::uint64_t size) = 0;
  // What reads values that were left in WAL; null where there is no WAL.
  [[nodiscard]] virtual std::unique_ptr<WalValues> wal_values() { return nullptr; }
  // A point that no I/O marks: where tests hold or end the process. `point` is a literal.
  virtual void reached([[maybe_unused]] const char* point) {}
};

// The operating system's files. One object for the process; thread-safe.
Env& posix_env();

}  // namespace strata
