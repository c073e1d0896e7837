#include "redo/guarded_page.h"

#include <sys/mman.h>
#include <unistd.h>

namespace strata::redo {

char* map_guarded(Size bytes) {
  Assert(bytes % static_cast<Size>(sysconf(_SC_PAGESIZE)) == 0);
  void* region =
      mmap(nullptr, kGuardBytes + bytes + kGuardBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region != MAP_FAILED) {
    char* begin = static_cast<char*>(region) + kGuardBytes;
    if (mprotect(begin, bytes, PROT_READ | PROT_WRITE) == 0) return begin;
    munmap(region, kGuardBytes + bytes + kGuardBytes);
  }
  ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
                  errdetail("Failed while mapping memory in which pages are rebuilt: %m.")));
  pg_unreachable();
}

}  // namespace strata::redo
