// Env over the operating system's files.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "store/coding.h"
#include "store/env.h"
#include "store/error.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

[[noreturn]] void throw_errno(const char* action, const std::string& path) {
  const int code = errno;
  const ErrorKind kind = code == ENOSPC || code == EDQUOT ? ErrorKind::kNoSpace
                         : code == ENOENT                 ? ErrorKind::kNotFound
                                                          : ErrorKind::kIo;
  throw StoreError(kind,
                   std::string("could not ") + action + " \"" + path + "\": " + std::generic_category().message(code));
}

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {
    if (fd_ < 0) throw_errno("open file", path);
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  [[nodiscard]] int get() const { return fd_; }
  void close(const std::string& path) {
    const int fd = fd_;
    fd_ = -1;
    if (fd >= 0 && ::close(fd) != 0) throw_errno("close file", path);
  }

 private:
  int fd_;
};

void sync_descriptor(const Descriptor& file, const std::string& path) {
  while (::fsync(file.get()) != 0) {
    if (errno != EINTR) throw_errno("fsync file", path);
  }
}

class PosixReadableFile : public ReadableFile {
 public:
  explicit PosixReadableFile(const std::string& path) : path_(path), file_(path, O_RDONLY) {}

  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    std::size_t done = 0;
    while (done < out.size()) {
      const ssize_t n = ::pread(file_.get(), out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw_errno("read file", path_);
      if (n == 0) throw_corrupt(path_, offset + done, "the file ends too early");
      done += static_cast<std::size_t>(n);
    }
  }

  [[nodiscard]] std::uint64_t size() const override {
    struct stat status;
    if (::fstat(file_.get(), &status) != 0) throw_errno("stat file", path_);
    return static_cast<std::uint64_t>(status.st_size);
  }

 private:
  std::string path_;
  Descriptor file_;
};

class PosixWritableFile : public WritableFile {
 public:
  PosixWritableFile(const std::string& path, int flags) : path_(path), file_(path, flags) {}

  void append(std::span<const std::byte> data) override {
    while (!data.empty()) {
      const ssize_t n = ::write(file_.get(), data.data(), data.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) throw_errno("write file", path_);
      data = data.subspan(static_cast<std::size_t>(n));
    }
  }
  void sync() override { sync_descriptor(file_, path_); }
  void close() override { file_.close(path_); }

 private:
  std::string path_;
  Descriptor file_;
};

class PosixEnv : public Env {
 public:
  std::unique_ptr<ReadableFile> open(const std::string& path) override {
    return std::make_unique<PosixReadableFile>(path);
  }
  std::unique_ptr<WritableFile> create(const std::string& path) override {
    return std::make_unique<PosixWritableFile>(path, O_WRONLY | O_CREAT | O_TRUNC);
  }
  std::unique_ptr<WritableFile> append_to(const std::string& path) override {
    return std::make_unique<PosixWritableFile>(path, O_WRONLY | O_APPEND);
  }

  bool exists(const std::string& path) override {
    if (::access(path.c_str(), F_OK) == 0) return true;
    if (errno != ENOENT && errno != ENOTDIR) throw_errno("access file", path);
    return false;
  }

  std::vector<std::string> list(const std::string& directory) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), &::closedir);
    if (dir == nullptr) throw_errno("open directory", directory);
    std::vector<std::string> names;
    for (;;) {
      errno = 0;
      const dirent* entry = ::readdir(dir.get());
      if (entry == nullptr && errno != 0) throw_errno("read directory", directory);
      if (entry == nullptr) return names;
      if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) names.push_back(entry->d_name);
    }
  }

  void create_directory(const std::string& path) override {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) throw_errno("create directory", path);
  }
  void sync_directory(const std::string& path) override {
    const Descriptor directory(path, O_RDONLY | O_DIRECTORY);
    sync_descriptor(directory, path);
  }
  void rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) throw_errno("rename file", from);
  }
  void remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw_errno("remove file", path);
  }
  void truncate(const std::string& path, std::uint64_t size) override {
    if (::truncate(path.c_str(), static_cast<off_t>(size)) != 0) throw_errno("truncate file", path);
  }
};

}  // namespace

Env& posix_env() {
  static PosixEnv env;
  return env;
}

}  // namespace strata
