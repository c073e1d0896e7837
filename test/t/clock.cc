// For LD_PRELOAD of a server: a clock that a test sets. The file that STRATA_CLOCK names holds the seconds, as text,
// that it is ahead.
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstdlib>

namespace {

long seconds_ahead() {
  static const char* name = std::getenv("STRATA_CLOCK");
  if (name == nullptr) return 0;
  const int file = open(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  char text[32] = {};
  const ssize_t length = read(file, text, sizeof(text) - 1);
  close(file);
  return length > 0 ? std::atol(text) : 0;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int gettimeofday(struct timeval* time, void* zone) noexcept {
  using Function = int(struct timeval*, void*);
  static auto* real = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, "gettimeofday"));
  const int result = real(time, zone);
  time->tv_sec += seconds_ahead();
  return result;
}
