// The channels between sessions and their travellers, in shared memory: one for each traveller that there may be. A
// channel holds two queues of bytes: requests to the traveller, and what one request is answered with.
//
// A channel is free while neither a call uses it nor a traveller lives at it. Only then may a session claim it.
#pragma once

extern "C" {
#include "postgres.h"

#include "storage/condition_variable.h"
#include "storage/procnumber.h"
}

#include <cstddef>

#include "travellers/places.h"

namespace strata::travellers {

inline constexpr Size kRequestQueueBytes = Size{8} << 10;
inline constexpr Size kAnswerQueueBytes = Size{128} << 10;

// Fields under the table's mutex, but for the queues.
struct Channel {
  uint32 generation;     // rises with each claim
  bool in_call;          // the session's call uses it
  bool traveller_lives;  // registered, and not ended
  bool busy;             // a request was sent, and the traveller is not done with it
  bool leave;            // the traveller shall end as soon as it is not busy
  uint32 begun;          // requests that the traveller has taken up
  pid_t traveller_pid;   // 0: it has not come yet
  ProcNumber traveller;  // while traveller_pid is not 0
  WorkerHandle worker;   // while the traveller lives
  ProcNumber session;    // whose traveller it is
  alignas(8) char requests[kRequestQueueBytes];
  alignas(8) char answers[kAnswerQueueBytes];
};

void register_channels();  // from _PG_init

Channel& channel(int index);

// Held for a few instructions; nothing that may fail is called under it.
class ChannelLock {
 public:
  ChannelLock();
  ~ChannelLock();
  ChannelLock(const ChannelLock&) = delete;
  ChannelLock& operator=(const ChannelLock&) = delete;
};

// A free channel, claimed for a call of this session, or -1.
int claim_free_channel();
// Asks a traveller that is idle at some session to end. False where none is idle.
bool ask_an_idle_one_to_leave();

// Broadcast when a channel comes free or its traveller idle.
ConditionVariable& channels_change();

// REQUIRES: the lock is not held.
void wake_traveller(const Channel& channel);

}  // namespace strata::travellers
