// For LD_PRELOAD of a server: calls of the operating system fail for files that a test chooses. What is tested is the
// server as it is, down to its last call.
//
// The file that STRATA_IO_FAULTS names holds one Fault, which the test changes while the server runs.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

// Bits of Fault::operations, as StrataFaults.pm has them.
enum : std::uint32_t { kCreate = 1, kWrite = 2, kSync = 4, kRead = 8, kRename = 16, kRemove = 32, kAccess = 64 };

struct Fault {
  std::int32_t error;  // errno; 0: no call fails
  std::uint32_t operations;
  std::uint64_t failed;  // calls that have failed
  char path[112];        // a part of the paths; behind a leading '$' their end
  std::uint64_t room;    // bytes that every file system says are free; 0: what it has
};

template <class Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

Fault* map_fault() {
  const char* name = std::getenv("STRATA_IO_FAULTS");
  if (name == nullptr) return nullptr;
  const int file = real<int(const char*, int, ...)>("open")(name, O_RDWR | O_CLOEXEC);
  if (file < 0) std::abort();
  void* mapped = mmap(nullptr, sizeof(Fault), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) std::abort();
  close(file);
  return static_cast<Fault*>(mapped);
}

bool is_chosen(const Fault& fault, const char* path) {
  if (fault.path[0] != '$') return std::strstr(path, fault.path) != nullptr;
  const std::size_t length = std::strlen(path);
  const std::size_t end = std::strlen(fault.path + 1);
  return length >= end && std::strcmp(path + length - end, fault.path + 1) == 0;
}

Fault* chosen_fault() {
  static Fault* const fault = map_fault();
  return fault;
}

// Sets errno when the call is to fail.
bool fails(std::uint32_t operation, const char* path) {
  Fault* const fault = chosen_fault();
  if (fault == nullptr || fault->error == 0 || (fault->operations & operation) == 0) return false;
  if (!is_chosen(*fault, path)) return false;
  __atomic_fetch_add(&fault->failed, 1, __ATOMIC_SEQ_CST);
  errno = fault->error;
  return true;
}

bool fails(std::uint32_t operation, int file) {
  char link[64];
  char path[4096];
  std::snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
  const int saved = errno;
  const ssize_t length = readlink(link, path, sizeof(path) - 1);
  errno = saved;
  if (length < 0) return false;
  path[length] = '\0';
  return fails(operation, path);
}

}  // namespace

#define EXPORT __attribute__((visibility("default")))

extern "C" {

EXPORT int open(const char* path, int flags, ...) {
  static const auto original = real<int(const char*, int, ...)>("open");
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  if ((flags & O_CREAT) != 0 && fails(kCreate, path)) return -1;
  return original(path, flags, mode);
}

EXPORT ssize_t write(int file, const void* data, size_t size) {
  static const auto original = real<ssize_t(int, const void*, size_t)>("write");
  return fails(kWrite, file) ? -1 : original(file, data, size);
}

EXPORT ssize_t pwrite(int file, const void* data, size_t size, off_t offset) {
  static const auto original = real<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  return fails(kWrite, file) ? -1 : original(file, data, size, offset);
}

EXPORT ssize_t pread(int file, void* data, size_t size, off_t offset) {
  static const auto original = real<ssize_t(int, void*, size_t, off_t)>("pread");
  return fails(kRead, file) ? -1 : original(file, data, size, offset);
}

EXPORT int fsync(int file) {
  static const auto original = real<int(int)>("fsync");
  return fails(kSync, file) ? -1 : original(file);
}

EXPORT int rename(const char* from, const char* to) {
  static const auto original = real<int(const char*, const char*)>("rename");
  return fails(kRename, from) ? -1 : original(from, to);
}

EXPORT int unlink(const char* path) {
  static const auto original = real<int(const char*)>("unlink");
  return fails(kRemove, path) ? -1 : original(path);
}

EXPORT int access(const char* path, int mode) {
  static const auto original = real<int(const char*, int)>("access");
  return fails(kAccess, path) ? -1 : original(path, mode);
}

EXPORT int statvfs(const char* path, struct statvfs* disk) {
  static const auto original = real<int(const char*, struct statvfs*)>("statvfs");
  const int result = original(path, disk);
  const Fault* const fault = chosen_fault();
  if (result == 0 && fault != nullptr && fault->room != 0) disk->f_bavail = fault->room / disk->f_frsize;
  return result;
}

EXPORT DIR* opendir(const char* path) {
  static const auto original = real<DIR*(const char*)>("opendir");
  return fails(kAccess, path) ? nullptr : original(path);
}

}  // extern "C"
