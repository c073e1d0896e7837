#include "travellers/traveller.h"

extern "C" {
#include "access/xact.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

PGDLLEXPORT void strata_traveller_main(Datum argument);
}

#include <cstring>

#include "pg/lsn_format.h"
#include "pg/wait_events.h"
#include "travel/door.h"
#include "travel/session.h"
#include "travel/settings.h"
#include "travellers/answer.h"
#include "travellers/answers.h"
#include "travellers/carried_settings.h"
#include "travellers/channel.h"
#include "travellers/execute.h"
#include "travellers/request.h"
#include "travellers/settings.h"

namespace strata::travellers {

namespace {

// What the worker is told when it is registered.
struct Start {
  uint32 generation;
  Oid database;
  Oid authenticated_user;
};
static_assert(sizeof(Start) <= BGW_EXTRALEN);

Channel* mine = nullptr;
shm_mq_handle* requests = nullptr;
// The settings that were taken over last.
char* adopted = nullptr;
int adopted_bytes = 0;

// While shared memory still works. The channel is the session's no more.
void leave_channel(int, Datum) {
  close_answers();
  if (requests != nullptr) shm_mq_detach(requests);
  requests = nullptr;
  ProcNumber session = INVALID_PROC_NUMBER;
  {
    const ChannelLock lock;
    mine->traveller_lives = false;
    mine->busy = false;
    session = mine->session;
  }
  ConditionVariableBroadcast(&channels_change());
  SetLatch(&GetPGProcByNumber(session)->procLatch);
}

bool take_channel(int index, const Start& start) {
  Channel& place = channel(index);
  {
    const ChannelLock lock;
    if (place.generation != start.generation || !place.traveller_lives) return false;
    place.traveller_pid = MyProcPid;
    place.traveller = MyProcNumber;
  }
  mine = &place;
  before_shmem_exit(leave_channel, 0);
  auto* queue = reinterpret_cast<shm_mq*>(place.requests);
  shm_mq_set_receiver(queue, MyProc);
  requests = shm_mq_attach(queue, nullptr, nullptr);
  return true;
}

// Whether to go on waiting for a request.
bool is_wanted(TimestampTz idle_since, long* timeout_ms) {
  {
    const ChannelLock lock;
    if (mine->leave) return false;
  }
  const long passed = TimestampDifferenceMilliseconds(idle_since, GetCurrentTimestamp());
  *timeout_ms = idle_time_ms() - passed;
  return *timeout_ms > 0;
}

void handle_interrupts() {
  CHECK_FOR_INTERRUPTS();
  if (!ConfigReloadPending) return;
  ConfigReloadPending = false;
  ProcessConfigFile(PGC_SIGHUP);
  // What the file says now is in the session's settings when the session has read it.
  adopted_bytes = 0;
}

// The next request, in `message`. False when the traveller shall end.
bool receive(bool first, StringInfo message) {
  const TimestampTz idle_since = GetCurrentTimestamp();
  for (;;) {
    Size bytes = 0;
    void* data = nullptr;
    ResetLatch(MyLatch);
    switch (shm_mq_receive(requests, &bytes, &data, true)) {
      case SHM_MQ_SUCCESS:
        resetStringInfo(message);
        appendBinaryStringInfo(message, data, static_cast<int>(bytes));
        return true;
      case SHM_MQ_DETACHED:
        return false;
      case SHM_MQ_WOULD_BLOCK:
        break;
    }
    long timeout_ms = 0;
    if (first) {
      const ChannelLock lock;
      if (mine->leave) return false;
      timeout_ms = 1000;
    } else if (!is_wanted(idle_since, &timeout_ms)) {
      return false;
    }
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout_ms,
              pg::wait_event(pg::Wait::kTravellerIdle));
    if (!first) handle_interrupts();
  }
}

void begin_request() {
  {
    const ChannelLock lock;
    mine->begun++;
  }
  // One that was meant for the request before.
  QueryCancelPending = false;
  open_answers(mine->answers);
}

// The session may send the next one, or claim the traveller for another moment.
void end_request() {
  close_answers();
  ProcNumber session = INVALID_PROC_NUMBER;
  {
    const ChannelLock lock;
    mine->busy = false;
    session = mine->session;
  }
  ConditionVariableBroadcast(&channels_change());
  SetLatch(&GetPGProcByNumber(session)->procLatch);
}

void travel(XLogRecPtr lsn, bool superuser) {
  const travel::Moment& here = travel::current_moment();
  // A function of the query before may have reset the setting.
  const bool stays = !travel::asks_for_another_moment();
  if (stays && here.lsn == lsn && here.superuser == superuser) return;
  StartTransactionCommand();
  travel::travel_as_ordered(lsn, superuser);
  CommitTransactionCommand();
}

void adopt(const Orders& orders) {
  if (orders.settings_bytes == adopted_bytes && std::memcmp(orders.settings, adopted, adopted_bytes) == 0) return;
  adopted_bytes = 0;
  travel(InvalidXLogRecPtr, false);
  adopt_settings(orders.settings, orders.settings_bytes);
  if (adopted != nullptr) pfree(adopted);
  adopted = static_cast<char*>(MemoryContextAlloc(TopMemoryContext, static_cast<Size>(orders.settings_bytes)));
  std::memcpy(adopted, orders.settings, static_cast<Size>(orders.settings_bytes));
  adopted_bytes = orders.settings_bytes;
}

void answer(StringInfo message) {
  const Orders orders = take_orders(message);
  adopt(orders);
  travel(orders.lsn, orders.superuser);
  travel::work_for(orders.role);
  execute(orders, message);
}

void answer_or_explain(StringInfo message) {
  MemoryContext context = CurrentMemoryContext;
  PG_TRY();
  { answer(message); }
  PG_CATCH();
  {
    MemoryContextSwitchTo(context);
    HOLD_INTERRUPTS();
    EmitErrorReport();
    FlushErrorState();
    AbortOutOfAnyTransaction();
    RESUME_INTERRUPTS();
  }
  PG_END_TRY();
  MemoryContextSwitchTo(context);
}

void connect(const Start& start) {
  BackgroundWorkerInitializeConnectionByOid(start.database, start.authenticated_user,
                                            BGWORKER_BYPASS_ALLOWCONN | BGWORKER_BYPASS_ROLELOGINCHECK);
}

void serve(const Start& start) {
  MemoryContext lasting = AllocSetContextCreate(TopMemoryContext, "strata traveller", ALLOCSET_DEFAULT_SIZES);
  MemoryContextSwitchTo(lasting);
  StringInfoData message;
  initStringInfo(&message);
  MemoryContext passing = AllocSetContextCreate(TopMemoryContext, "strata request", ALLOCSET_DEFAULT_SIZES);
  for (bool first = true; receive(first, &message); first = false) {
    begin_request();
    if (first) connect(start);
    MemoryContextSwitchTo(passing);
    answer_or_explain(&message);
    end_request();
    pgstat_report_stat(false);
    pgstat_report_activity(STATE_IDLE, nullptr);
    MemoryContextSwitchTo(lasting);
    MemoryContextReset(passing);
  }
}

}  // namespace

bool start_traveller(int channel_index, BackgroundWorkerHandle** handle) {
  BackgroundWorker worker = {};
  strlcpy(worker.bgw_type, "strata traveller", BGW_MAXLEN);
  snprintf(worker.bgw_name, BGW_MAXLEN, "strata traveller for PID %d", MyProcPid);
  worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
  worker.bgw_start_time = BgWorkerStart_ConsistentState;
  worker.bgw_restart_time = BGW_NEVER_RESTART;
  strlcpy(worker.bgw_library_name, "$libdir/strata", MAXPGPATH);
  strlcpy(worker.bgw_function_name, "strata_traveller_main", BGW_MAXLEN);
  worker.bgw_main_arg = Int32GetDatum(channel_index);
  worker.bgw_notify_pid = MyProcPid;
  const Start start = {channel(channel_index).generation, MyDatabaseId, GetAuthenticatedUserId()};
  std::memcpy(worker.bgw_extra, &start, sizeof(start));
  return register_traveller(&worker, handle);
}

}  // namespace strata::travellers

void strata_traveller_main(Datum argument) {
  namespace travellers = strata::travellers;
  travellers::Start start;
  std::memcpy(&start, MyBgworkerEntry->bgw_extra, sizeof(start));
  pqsignal(SIGHUP, SignalHandlerForConfigReload);
  pqsignal(SIGTERM, die);
  BackgroundWorkerUnblockSignals();
  strata::travel::become_traveller();
  MemoryContextSwitchTo(AllocSetContextCreate(TopMemoryContext, "strata traveller start", ALLOCSET_DEFAULT_SIZES));
  if (!travellers::take_channel(DatumGetInt32(argument), start)) proc_exit(0);
  travellers::serve(start);
  proc_exit(0);
}
