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

void lower_process_once() {
  static bool done = false;
  if (done) return;
  done = true;
  if (setpriority(PRIO_PROCESS, 0, kGivingWay) != 0) {
    ereport(LOG, (errmsg("strata: could not lower the priority of a process: %m")));
  }
}

// False: the kernel wants to be asked again later.
bool set_group_niceness(int niceness) {
  // A session that is not this process's own has other processes in it.
  if (getsid(0) != getpid()) return true;
  const int file = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
  if (file < 0) return true;
  const std::string text = std::to_string(niceness);
  const bool again = write(file, text.data(), text.size()) < 0 && errno == EAGAIN;
  close(file);
  return !again;
}

}  // namespace

void give_way(int niceness) {
  static int group_niceness = 0;
  lower_process_once();
  if (niceness != group_niceness && set_group_niceness(niceness)) group_niceness = niceness;
}

}  // namespace strata::workers
