#include "workers/process.h"

extern "C" {
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/bgworker_internals.h"
#include "postmaster/interrupt.h"
#include "storage/aio_subsys.h"
#include "storage/condition_variable.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lwlock.h"
#include "storage/proc.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/wait_event.h"
}

#include <malloc.h>

#include <cstddef>
#include <cstring>

#include "pg/guard.h"

namespace strata::workers {
namespace {

constexpr int kRestartSeconds = 2;
constexpr int kKeptMemory = 32 << 20;  // bytes

// Blocks are allocated and freed all the time. Memory that goes back to the kernel each time has to be cleared anew.
void keep_freed_memory() {
  mallopt(M_MMAP_THRESHOLD, kKeptMemory);
  mallopt(M_TRIM_THRESHOLD, kKeptMemory);
}

unsigned reloads = 0;

// Whether RegisterBackgroundWorker() had a place for it, which it says in the log alone.
bool is_registered(const char* main) {
  const dlist_node* head = &BackgroundWorkerList.head;
  for (const dlist_node* node = head->next; node != nullptr && node != head; node = node->next) {
    const auto* worker = reinterpret_cast<const RegisteredBgWorker*>(reinterpret_cast<const char*>(node) -
                                                                     offsetof(RegisteredBgWorker, rw_lnode));
    if (std::strcmp(worker->rw_worker.bgw_function_name, main) == 0) return true;
  }
  return false;
}

}  // namespace

void start_process() {
  keep_freed_memory();
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  pqsignal(SIGTERM, die);
  pqsignal(SIGUSR1, procsignal_sigusr1_handler);
  BackgroundWorkerUnblockSignals();
  // Makes its wait events visible, and lets pg_terminate_backend() find it.
  InitProcessPhase2();
  // Shows the process in pg_stat_activity, as PostgreSQL does with its own that have no database.
  pgstat_beinit();
  pgstat_bestart_initial();
  pgstat_report_activity(STATE_UNDEFINED, nullptr);
  CreateAuxProcessResourceOwner();
  MemoryContextSwitchTo(AllocSetContextCreate(TopMemoryContext, "strata worker", ALLOCSET_DEFAULT_SIZES));
}

std::string register_worker(const char* name, const char* main) {
  BackgroundWorker worker = {};
  strlcpy(worker.bgw_name, name, BGW_MAXLEN);
  strlcpy(worker.bgw_type, name, BGW_MAXLEN);
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS;
  worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
  worker.bgw_restart_time = kRestartSeconds;
  strlcpy(worker.bgw_library_name, "$libdir/strata", MAXPGPATH);
  strlcpy(worker.bgw_function_name, main, BGW_MAXLEN);
  RegisterBackgroundWorker(&worker);
  if (is_registered(main)) return {};
  const std::string error = std::string("there is no place for the process \"") + name +
                            "\": \"max_worker_processes\" is " + std::to_string(max_worker_processes);
  ereport(WARNING, (errmsg("strata: %s", error.c_str()), errhint("%s", kWorkerHint)));
  return error;
}

void handle_interrupts() {
  // Going without a word: the postmaster notes that the worker is gone.
  if (ProcDiePending) proc_exit(1);
  if (!InterruptPending && !ConfigReloadPending) return;
  pg::caught([] {
    CHECK_FOR_INTERRUPTS();
    if (ConfigReloadPending) {
      ConfigReloadPending = false;
      ProcessConfigFile(PGC_SIGHUP);
      ++reloads;
    }
  });
}

unsigned configuration_reloads() { return reloads; }

void sleep_for(long milliseconds, pg::Wait wait) {
  handle_interrupts();
  pg::caught([&] {
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, milliseconds, pg::wait_event(wait));
    ResetLatch(MyLatch);
  });
  handle_interrupts();
}

void clean_up_after_error() {
  HOLD_INTERRUPTS();
  LWLockReleaseAll();
  ConditionVariableCancelSleep();
  pgstat_report_wait_end();
  pgaio_error_cleanup();
  ReleaseAuxProcessResources(false);
  AtEOXact_Files(false);
  RESUME_INTERRUPTS();
}

}  // namespace strata::workers
