// For shared_preload_libraries of a server with injection points: ends processes at points of strata.
//
// The file that STRATA_CRASH_POINTS names has a Table; the test and every process of the server share it, and it
// outlives them. All points in it are attached when shared memory is set up, so that one that is passed while the
// server starts can be met.
extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/injection_point.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);
PGDLLEXPORT void strata_crash_point(const char* name, const void* place, void* argument);
}

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>

namespace {

enum class End : int32 {
  kServer = 1,   // SIGKILL for every process: shared memory is lost
  kProcess = 2,  // SIGKILL for this one: the postmaster ends the others and begins anew
  kWorker = 3,   // FATAL: the postmaster starts this one again, shared memory stays as it is
};

struct Point {
  char name[56];
  uint64 passed;
};

// As StrataCrash.pm packs it.
struct Table {
  char target[56];    // a point's name, or "any"
  int64 countdown;    // the passing that ends it; 0 or less: none
  char ended_at[56];  // where a process has ended
  End end;
  uint32 points;
  Point point[];
};

Table* table = nullptr;
shmem_startup_hook_type previous_hook = nullptr;

void map_table() {
  const char* path = getenv("STRATA_CRASH_POINTS");
  if (path == nullptr) elog(ERROR, "STRATA_CRASH_POINTS is not set");
  const int file = open(path, O_RDWR);
  const off_t size = file < 0 ? -1 : lseek(file, 0, SEEK_END);
  if (size < static_cast<off_t>(sizeof(Table))) elog(ERROR, "could not read \"%s\"", path);
  void* mapped = mmap(nullptr, static_cast<size_t>(size), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mapped == MAP_FAILED) elog(ERROR, "could not map \"%s\": %m", path);
  close(file);
  table = static_cast<Table*>(mapped);
}

void attach_points() {
  if (previous_hook != nullptr) previous_hook();
  for (uint32 i = 0; i < table->points; ++i) {
    // Beside the folder of libraries, where it was loaded from.
    InjectionPointAttach(table->point[i].name, "../../strata_test_crash_points", "strata_crash_point", &i, sizeof(i));
  }
}

void end_server() {
  kill(PostmasterPid, SIGKILL);
  for (uint32 i = 0; i < ProcGlobal->allProcCount; ++i) {
    const int pid = ProcGlobal->allProcs[i].pid;
    if (pid != 0 && pid != MyProcPid) kill(pid, SIGKILL);
  }
}

}  // namespace

void _PG_init(void) {
  map_table();
  previous_hook = shmem_startup_hook;
  shmem_startup_hook = attach_points;
}

void strata_crash_point(const char* name, const void* place, void*) {
  uint32 i = 0;
  std::memcpy(&i, place, sizeof(i));
  __atomic_fetch_add(&table->point[i].passed, 1, __ATOMIC_SEQ_CST);
  if (std::strcmp(table->target, "any") != 0 && std::strcmp(table->target, name) != 0) return;
  if (__atomic_fetch_sub(&table->countdown, 1, __ATOMIC_SEQ_CST) != 1) return;
  strlcpy(table->ended_at, name, sizeof(table->ended_at));
  if (table->end == End::kWorker)
    ereport(FATAL, (errcode(ERRCODE_ADMIN_SHUTDOWN), errmsg("ended at point \"%s\" by a test", name)));
  if (table->end == End::kServer) end_server();
  kill(MyProcPid, SIGKILL);
}
