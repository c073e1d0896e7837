#include "workers/store_owner.h"

extern "C" {
#include "postgres.h"

#include "common/file_perm.h"
#include "miscadmin.h"
#include "storage/fd.h"
}

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cinttypes>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "pg/belonging.h"
#include "pg/guard.h"
#include "pg/pg_env.h"
#include "pg/shared_state.h"
#include "store/error.h"
#include "store/manifest.h"

namespace strata::workers {
namespace {

const std::string owner_path = std::string(pg::kStoreDirectory) + "/" + std::string(kOwnerName);
constexpr std::size_t kMaxOwnerBytes = 4096;

[[noreturn]] void fail(const char* what) {
  const int error = errno;
  throw StoreError(
      error == ENOSPC || error == EDQUOT ? ErrorKind::kNoSpace : ErrorKind::kIo,
      std::string("could not ") + what + " \"" + owner_path + "\": " + std::generic_category().message(error));
}

// Not one of PostgreSQL's virtual files: those are closed and opened again at will, which gives the lock away.
class OwnerFile {
 public:
  OwnerFile() = default;
  explicit OwnerFile(int flags)
      : descriptor_(::open(owner_path.c_str(), flags | O_RDWR | O_CLOEXEC, pg_file_create_mode)) {
    if (descriptor_ < 0) fail("open");
  }
  ~OwnerFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  OwnerFile(const OwnerFile&) = delete;
  OwnerFile& operator=(const OwnerFile&) = delete;
  OwnerFile(OwnerFile&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  OwnerFile& operator=(OwnerFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }

  // Whether it got the lock.
  [[nodiscard]] bool lock(int how) const {
    while (::flock(descriptor_, how | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return false;
      if (errno != EINTR) fail("lock");
    }
    return true;
  }

  [[nodiscard]] std::string read() const {
    std::string content(kMaxOwnerBytes, '\0');
    const ssize_t got = ::pread(descriptor_, content.data(), content.size(), 0);
    if (got < 0) fail("read");
    content.resize(static_cast<std::size_t>(got));
    return content;
  }

  void write(const std::string& content) const {
    if (::pwrite(descriptor_, content.data(), content.size(), 0) != static_cast<ssize_t>(content.size()) ||
        ::ftruncate(descriptor_, static_cast<off_t>(content.size())) != 0) {
      fail("write");
    }
  }

  // Differs from that of any copy, on the same machine.
  [[nodiscard]] std::string place() const {
    struct stat status = {};
    if (::fstat(descriptor_, &status) != 0) fail("find the place of");
    return std::to_string(status.st_dev) + ":" + std::to_string(status.st_ino);
  }

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  // It may have been removed, with the folder.
  [[nodiscard]] bool is_in_folder() const {
    struct stat here = {};
    struct stat there = {};
    return ::fstat(descriptor_, &here) == 0 && ::stat(owner_path.c_str(), &there) == 0 && here.st_dev == there.st_dev &&
           here.st_ino == there.st_ino;
  }

 private:
  int descriptor_ = -1;
};

// What the file says, a line each: which run of which server writes here; whose history this is; where the file lay
// then.
struct Owner {
  std::string run;  // hexadecimal
  std::string process;
  std::string writer;  // data directories
  std::string history;
  std::string place;
};

std::string take_line(std::string& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string line = text.substr(0, end);
  text.erase(0, end + 1);
  return line;
}

Owner parse(std::string text) {
  Owner owner;
  for (std::string* line : {&owner.run, &owner.process, &owner.writer, &owner.history, &owner.place}) {
    *line = take_line(text);
  }
  return owner;
}

void write(const OwnerFile& file, const Owner& owner) {
  file.write(owner.run + "\n" + owner.process + "\n" + owner.writer + "\n" + owner.history + "\n" + owner.place + "\n");
}

// This process's hold on the store.
OwnerFile held;
// While this process has the store alone, and does not know yet whether it stays; else 0.
std::uint64_t unsettled_run = 0;

std::string text_of(std::uint64_t run) {
  std::array<char, 17> text{};
  snprintf(text.data(), text.size(), "%016" PRIx64, run);
  return text.data();
}

// Which run of the server this is; the same in all its processes. Empty: it does not have the store yet.
std::string this_run() {
  const std::uint64_t run = pg_atomic_read_u64(&pg::shared_belonging->owner);
  return run == 0 ? "" : text_of(run);
}

// Whether the store is this run's already, of which another process has written so. Takes hold of it then.
bool join(OwnerFile& file) {
  const std::string run = this_run();
  if (run.empty() || !file.lock(LOCK_SH)) return false;
  if (parse(file.read()).run == run) return true;
  (void)file.lock(LOCK_UN);
  return false;
}

[[noreturn]] void throw_taken(const OwnerFile& file) {
  const Owner owner = parse(file.read());
  throw StoreIsTaken(
      "\"pg_strata\" is in use by another server" +
      (owner.process.empty() ? "" : ": process " + owner.process + ", data directory \"" + owner.writer + "\""));
}

void take(OwnerFile& file) {
  if (!file.lock(LOCK_EX)) throw_taken(file);
  std::uint64_t run = 0;
  if (!pg_strong_random(&run, sizeof(run)) || run == 0) {
    throw StoreError(ErrorKind::kIo, "could not generate random values");
  }
  Owner owner = parse(file.read());
  owner.run = text_of(run);
  owner.process = std::to_string(PostmasterPid);
  owner.writer = DataDir;
  write(file, owner);
  unsettled_run = run;
}

}  // namespace

Ownership own_store() {
  pg::pg_env().create_directory(pg::kStoreDirectory);
  const bool has_it = held.is_open() && held.is_in_folder() && (unsettled_run != 0 || join(held));
  if (!has_it) {
    OwnerFile file(O_CREAT);
    unsettled_run = 0;
    if (!join(file)) take(file);
    held = std::move(file);
  }
  const Owner owner = parse(held.read());
  const bool is_copy = !owner.place.empty() && owner.place != held.place();
  return {.is_copy = is_copy, .is_other = !is_copy && !owner.history.empty() && owner.history != DataDir};
}

void settle_ownership() {
  Owner owner = parse(held.read());
  owner.history = DataDir;
  owner.place = held.place();
  write(held, owner);
  if (unsettled_run == 0) return;
  // From here on the other workers may join. Who comes while the lock changes has written another run.
  pg_atomic_write_u64(&pg::shared_belonging->owner, std::exchange(unsettled_run, 0));
  if (join(held)) return;
  pg_atomic_write_u64(&pg::shared_belonging->owner, 0);
  throw_taken(held);
}

void leave_store() {
  if (unsettled_run == 0) return;
  unsettled_run = 0;
  held = OwnerFile();
}

bool share_store() {
  try {
    if (held.is_open() && held.is_in_folder()) return true;
    OwnerFile file(0);
    if (!join(file)) return false;
    held = std::move(file);
    return true;
  } catch (const StoreError&) {
    return false;
  }
}

}  // namespace strata::workers
