#include "workers/priority.h"

extern "C" {
#include "postgres.h"
}

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <string>

namespace strata::workers {
namespace {

constexpr int kNiceness = 10;

// The longest that Linux knows. Who has a long slice gets the processor later, and a session that wakes with a shorter
// one need not wait for its end. Kernels before 6.12 ignore it.
constexpr std::uint64_t kSliceNs = 100'000'000;

// What the kernel takes; its own header does not go together with those of many C libraries.
struct SchedulingAttributes {
  std::uint32_t size = sizeof(SchedulingAttributes);
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t niceness = 0;
  std::uint32_t priority = 0;
  std::uint64_t slice_ns = 0;
  std::uint64_t deadline = 0;
  std::uint64_t period = 0;
};
static_assert(sizeof(SchedulingAttributes) == 48);

void lower_process() {
  const SchedulingAttributes attributes{.niceness = kNiceness, .slice_ns = kSliceNs};
  if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) {
    ereport(LOG, (errmsg("strata: could not lower the priority of a process: %m")));
  }
}

// False: the kernel wants to be asked again later. It lets one process at a time do this, ten times a second.
bool lower_session() {
  // A session that is not this process's own has other processes in it.
  if (getsid(0) != getpid()) return true;
  const int file = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
  if (file < 0) return true;
  const std::string text = std::to_string(kNiceness);
  const bool again = write(file, text.data(), text.size()) < 0 && errno == EAGAIN;
  close(file);
  return !again;
}

}  // namespace

void lower_priority() {
  static bool process_is_lower = false;
  static bool session_is_lower = false;
  if (!process_is_lower) lower_process();
  process_is_lower = true;
  if (!session_is_lower) session_is_lower = lower_session();
}

}  // namespace strata::workers
