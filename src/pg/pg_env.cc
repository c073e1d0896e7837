#include "pg/pg_env.h"

#include "pg/guard.h"
#include "pg/injection_point_env.h"
#include "pg/wait_events.h"
#include "pg/wal_space.h"
#include "pg/wal_images.h"

extern "C" {
#include "storage/fd.h"
#include "utils/wait_event.h"
}

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace strata::pg {

namespace {

[[noreturn]] void fail(const char* what, const std::string& path) {
  const int error = errno;
  ErrorKind kind = ErrorKind::kIo;
  if (error == ENOSPC || error == EDQUOT) kind = ErrorKind::kNoSpace;
  if (error == ENOENT) kind = ErrorKind::kNotFound;
  throw StoreError(kind, std::string("could not ") + what + " \"" + path + "\": " + std::strerror(error));
}

uint32 event_of(Wait wait) {
  uint32 event = 0;
  caught([&] { event = wait_event(wait); });
  return event;
}

File open_file(const std::string& path, int flags, const char* what) {
  File file = -1;
  caught([&] { file = PathNameOpenFile(path.c_str(), flags); });
  if (file < 0) fail(what, path);
  return file;
}

off_t file_size(File file, const std::string& path) {
  off_t size = -1;
  caught([&] { size = FileSize(file); });
  if (size < 0) fail("find the size of", path);
  return size;
}

class PgReadableFile final : public ReadableFile {
 public:
  explicit PgReadableFile(const std::string& path)
      : path_(path), file_(open_file(path, O_RDONLY | PG_BINARY, "open")) {}
  ~PgReadableFile() override { FileClose(file_); }

  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    const uint32 event = event_of(Wait::kLayerRead);
    std::size_t done = 0;
    while (done < out.size()) {
      ssize_t n = 0;
      caught(
          [&] { n = FileRead(file_, out.data() + done, out.size() - done, static_cast<off_t>(offset + done), event); });
      if (n < 0) fail("read", path_);
      if (n == 0) {
        throw StoreError(ErrorKind::kCorrupt, "file \"" + path_ + "\" ends at offset " + std::to_string(offset + done) +
                                                  ", before offset " + std::to_string(offset + out.size()));
      }
      done += static_cast<std::size_t>(n);
    }
  }

  [[nodiscard]] std::uint64_t size() const override { return static_cast<std::uint64_t>(file_size(file_, path_)); }

 private:
  std::string path_;
  File file_;
};

class PgWritableFile final : public WritableFile {
 public:
  PgWritableFile(const std::string& path, int flags)
      : path_(path), file_(open_file(path, flags | O_RDWR | PG_BINARY, "open")), offset_(file_size(file_, path)) {}
  ~PgWritableFile() override {
    if (file_ >= 0) FileClose(file_);
  }

  void append(std::span<const std::byte> data) override {
    const uint32 event = event_of(Wait::kLayerWrite);
    while (!data.empty()) {
      ssize_t n = 0;
      caught([&] { n = FileWrite(file_, data.data(), data.size(), offset_, event); });
      if (n <= 0) {
        if (n == 0) errno = ENOSPC;
        fail("write", path_);
      }
      offset_ += n;
      begin_writing_out(event);
      data = data.subspan(static_cast<std::size_t>(n));
    }
  }

  void sync() override {
    int result = 0;
    const uint32 event = event_of(Wait::kLayerSync);
    caught([&] { result = FileSync(file_, event); });
    if (result < 0) fail("fsync", path_);
  }

  void close() override {
    if (file_ >= 0) FileClose(file_);
    file_ = -1;
  }

 private:
  // Storage gets a file bit by bit: one large fsync at its end would hold up those of WAL, for which sessions wait.
  void begin_writing_out(uint32 event) {
    if (offset_ - written_out_ < kWriteOutBytes) return;
    caught([&] { FileWriteback(file_, written_out_, offset_ - written_out_, event); });
    written_out_ = offset_;
  }

  static constexpr off_t kWriteOutBytes = 256 * 1024;

  std::string path_;
  File file_;
  off_t offset_;
  off_t written_out_ = offset_;  // what is before it is on its way
};

// Layers leave alone the room that WAL needs: without it the server would stop.
void leave_room_for_wal(const std::string& path) {
  if (!path.ends_with(".layer") || !store_shares_disk_of_wal()) return;
  const WalSpace space = wal_space();
  if (!space.known || space.free >= space.reserve) return;
  throw StoreError(ErrorKind::kNoSpace, "file \"" + path + "\" is not created: " + std::to_string(space.free >> 20) +
                                            " MB are free, and WAL on the same disk may need " +
                                            std::to_string(space.reserve >> 20) + " MB");
}

class PgEnv final : public Env {
 public:
  std::unique_ptr<ReadableFile> open(const std::string& path) override {
    return std::make_unique<PgReadableFile>(path);
  }
  std::unique_ptr<WritableFile> create(const std::string& path) override {
    leave_room_for_wal(path);
    return std::make_unique<PgWritableFile>(path, O_CREAT | O_TRUNC);
  }
  std::unique_ptr<WritableFile> append_to(const std::string& path) override {
    return std::make_unique<PgWritableFile>(path, 0);
  }
  bool exists(const std::string& path) override {
    if (access(path.c_str(), F_OK) == 0) return true;
    if (errno != ENOENT && errno != ENOTDIR) fail("access", path);
    return false;
  }

  std::vector<std::string> list(const std::string& directory) override {
    std::vector<std::string> names;
    DIR* dir = nullptr;
    caught([&] { dir = AllocateDir(directory.c_str()); });
    if (dir == nullptr) fail("open directory", directory);
    for (;;) {
      errno = 0;
      const dirent* entry = readdir(dir);
      if (entry == nullptr) break;
      if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
        names.emplace_back(entry->d_name);
    }
    const int error = errno;
    FreeDir(dir);
    if (error != 0) {
      errno = error;
      fail("read directory", directory);
    }
    return names;
  }

  void create_directory(const std::string& path) override {
    if (MakePGDirectory(path.c_str()) < 0 && errno != EEXIST) fail("create directory", path);
  }

  void sync_directory(const std::string& path) override {
    int result = 0;
    const uint32 event = event_of(Wait::kLayerSync);
    caught([&] {
      pgstat_report_wait_start(event);
      result = fsync_fname_ext(path.c_str(), true, false, LOG);
      pgstat_report_wait_end();
    });
    if (result != 0) throw StoreError(ErrorKind::kIo, "could not fsync directory \"" + path + "\"");
  }

  void rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) < 0) fail("rename", from);
  }
  void remove(const std::string& path) override {
    if (unlink(path.c_str()) < 0 && errno != ENOENT) fail("remove", path);
  }
  void truncate(const std::string& path, std::uint64_t size) override {
    if (::truncate(path.c_str(), static_cast<off_t>(size)) < 0) fail("truncate", path);
  }
  std::unique_ptr<WalValues> wal_values() override { return open_wal_images(); }
};

}  // namespace

Env& pg_env() {
  static PgEnv env;
#ifdef USE_INJECTION_POINTS
  static InjectionPointEnv with_points(env);
  return with_points;
#else
  return env;
#endif
}

}  // namespace strata::pg
