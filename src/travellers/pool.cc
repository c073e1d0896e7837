#include "travellers/pool.h"

extern "C" {
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
}

#include <csignal>

#include "pg/wait_events.h"
#include "travel/settings.h"
#include "travellers/channel.h"
#include "travellers/settings.h"
#include "travellers/traveller.h"

namespace strata::travellers {

namespace {

// Idle travellers that a session keeps at moments of their own before it sends one of them on.
constexpr int kKeptIdle = 2;
constexpr long kStopPatience_ms = 200;
constexpr long kFreePatience_ms = 100;

Traveller* pool = nullptr;
uint64 calls = 0;

// REQUIRES: the lock.
bool still_ours(const Traveller& traveller) {
  const Channel& place = channel_of(traveller);
  return place.generation == traveller.generation && place.traveller_lives;
}

enum class State { kGone, kBusy, kIdle };

State state_of(const Traveller& traveller) {
  const ChannelLock lock;
  if (!still_ours(traveller)) return State::kGone;
  const Channel& place = channel_of(traveller);
  if (place.leave) return State::kGone;
  return place.busy ? State::kBusy : State::kIdle;
}

// For a call, unless it has ended or was asked to.
bool take(Traveller& traveller, XLogRecPtr lsn) {
  {
    const ChannelLock lock;
    Channel& place = channel_of(traveller);
    if (!still_ours(traveller) || place.leave || place.busy) return false;
    place.in_call = true;
  }
  traveller.in_call = true;
  traveller.lsn = lsn;
  traveller.used = ++calls;
  return true;
}

void drop_those_that_have_ended() {
  for (Traveller** link = &pool; *link != nullptr;) {
    Traveller* traveller = *link;
    bool gone = false;
    if (!traveller->in_call) {
      const ChannelLock lock;
      gone = !still_ours(*traveller);
    }
    if (gone) {
      *link = traveller->next;
      MemoryContextDelete(traveller->context);
    } else {
      link = &traveller->next;
    }
  }
}

int count_idle() {
  int count = 0;
  for (const Traveller* t = pool; t != nullptr; t = t->next)
    count += !t->in_call && state_of(*t) == State::kIdle ? 1 : 0;
  return count;
}

bool any_in_call() {
  for (const Traveller* t = pool; t != nullptr; t = t->next) {
    if (t->in_call) return true;
  }
  return false;
}

Traveller* take_longest_unused(XLogRecPtr lsn) {
  Traveller* chosen = nullptr;
  for (Traveller* t = pool; t != nullptr; t = t->next) {
    if (t->in_call || state_of(*t) != State::kIdle) continue;
    if (chosen == nullptr || t->used < chosen->used) chosen = t;
  }
  return chosen != nullptr && take(*chosen, lsn) ? chosen : nullptr;
}

// One that was told to stop there is as good as idle, if it does so soon.
void wait_until_stopped(const Traveller& traveller) {
  const TimestampTz since = GetCurrentTimestamp();
  while (state_of(traveller) == State::kBusy) {
    const long left = kStopPatience_ms - TimestampDifferenceMilliseconds(since, GetCurrentTimestamp());
    if (left <= 0) return;
    WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, left, pg::wait_event(pg::Wait::kTravellerFree));
    ResetLatch(MyLatch);
    CHECK_FOR_INTERRUPTS();
  }
}

Traveller* take_one_at(XLogRecPtr lsn) {
  for (Traveller* t = pool; t != nullptr; t = t->next) {
    if (t->in_call || t->lsn != lsn) continue;
    wait_until_stopped(*t);
    if (take(*t, lsn)) return t;
  }
  return nullptr;
}

// The session ends, and its travellers with it.
void leave_at_exit(int, Datum) {
  for (const Traveller* t = pool; t != nullptr; t = t->next) {
    {
      const ChannelLock lock;
      if (!still_ours(*t)) continue;
      Channel& place = channel_of(*t);
      place.leave = true;
      place.in_call = false;
    }
    cancel_request(*t);
    wake_traveller(channel_of(*t));
  }
}

void prepare_exit() {
  static bool prepared = false;
  if (prepared) return;
  prepared = true;
  on_shmem_exit(leave_at_exit, 0);
}

void give_back(int channel_index) {
  {
    const ChannelLock lock;
    Channel& place = channel(channel_index);
    place.traveller_lives = false;
    place.in_call = false;
  }
  ConditionVariableBroadcast(&channels_change());
}

// At a channel that has been claimed. Null where the server has no place for another process.
Traveller* start_at(int channel_index, XLogRecPtr lsn) {
  prepare_exit();
  Channel& place = channel(channel_index);
  MemoryContext context = AllocSetContextCreate(TopMemoryContext, "strata traveller", ALLOCSET_SMALL_SIZES);
  MemoryContext previous = MemoryContextSwitchTo(context);
  auto* traveller = static_cast<Traveller*>(palloc0(sizeof(Traveller)));
  traveller->channel_index = channel_index;
  traveller->generation = place.generation;
  traveller->context = context;
  shm_mq* queue = shm_mq_create(place.requests, kRequestQueueBytes);
  shm_mq_set_sender(queue, MyProc);
  {
    const ChannelLock lock;
    place.traveller_lives = true;
  }
  const bool registered = start_traveller(channel_index, &traveller->worker);
  if (registered) {
    const WorkerHandle worker = copy_of(traveller->worker);
    traveller->requests = shm_mq_attach(queue, nullptr, traveller->worker);
    const ChannelLock lock;
    place.worker = worker;
  }
  MemoryContextSwitchTo(previous);
  if (!registered) {
    MemoryContextDelete(context);
    give_back(channel_index);
    return nullptr;
  }
  traveller->in_call = true;
  traveller->lsn = lsn;
  traveller->used = ++calls;
  traveller->next = pool;
  pool = traveller;
  return traveller;
}

Traveller* start(XLogRecPtr lsn) {
  const int channel_index = claim_free_channel();
  return channel_index >= 0 ? start_at(channel_index, lsn) : nullptr;
}

[[noreturn]] void raise_none_free() {
  ereport(
      ERROR,
      (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED), errmsg("no traveller is free"),
       errdetail("The server may have %d at once (\"strata.max_travellers\"), and other calls use them all.",
                 max_travellers()),
       errhint("Use fewer moments in one statement, try again later, or raise \"strata.max_travellers\" and restart "
               "the server.")));
  pg_unreachable();
}

}  // namespace

Traveller* acquire_traveller(XLogRecPtr lsn) {
  for (;;) {
    drop_those_that_have_ended();
    Traveller* traveller = take_one_at(lsn);
    if (traveller == nullptr && count_idle() >= kKeptIdle) traveller = take_longest_unused(lsn);
    if (traveller == nullptr) traveller = start(lsn);
    if (traveller == nullptr) traveller = take_longest_unused(lsn);
    if (traveller != nullptr) {
      ConditionVariableCancelSleep();
      return traveller;
    }
    // Two sessions that each hold one and wait for another would wait for ever.
    if (!ask_an_idle_one_to_leave() && (any_in_call() || travel::is_traveller() || max_travellers() == 0)) {
      raise_none_free();
    }
    ConditionVariableTimedSleep(&channels_change(), kFreePatience_ms, pg::wait_event(pg::Wait::kTravellerFree));
    CHECK_FOR_INTERRUPTS();
  }
}

void release_traveller(Traveller* traveller) {
  traveller->in_call = false;
  {
    const ChannelLock lock;
    channel_of(*traveller).in_call = false;
    if (traveller->spoilt) channel_of(*traveller).leave = true;
  }
  if (traveller->spoilt) wake_traveller(channel_of(*traveller));
  ConditionVariableBroadcast(&channels_change());
}

void cancel_request(const Traveller& traveller) {
  pid_t pid = 0;
  {
    const ChannelLock lock;
    if (still_ours(traveller) && channel_of(traveller).busy) pid = channel_of(traveller).traveller_pid;
  }
  if (pid != 0) kill(pid, SIGINT);
}

Channel& channel_of(const Traveller& traveller) { return channel(traveller.channel_index); }

}  // namespace strata::travellers
