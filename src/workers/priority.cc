#include "workers/priority.h"

extern "C" {
#include "postgres.h"
}

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace strata::workers {
namespace {

constexpr int kNiceness = 10;

void lower_process() {
  if (setpriority(PRIO_PROCESS, 0, kNiceness) != 0) {
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

void give_way() {
  static bool process_is_lower = false;
  static bool session_is_lower = false;
  if (!process_is_lower) lower_process();
  process_is_lower = true;
  if (!session_is_lower) session_is_lower = lower_session();
}

}  // namespace strata::workers
