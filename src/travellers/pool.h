// The travellers of this session: those of calls that are under way, and those that wait where the last calls went.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogdefs.h"
#include "postmaster/bgworker.h"
#include "storage/shm_mq.h"
}

namespace strata::travellers {

struct Channel;

struct Traveller {
  int channel_index;
  uint32 generation;  // of the channel when it was claimed
  MemoryContext context;
  BackgroundWorkerHandle* worker;
  shm_mq_handle* requests;
  XLogRecPtr lsn;  // where the last request went
  uint32 sent;     // requests
  bool in_call;
  bool spoilt;  // a request was sent in part
  uint64 used;  // rises with each call of the session
  Traveller* next;
};

// A traveller for one call at this LSN: the one that is there already, where there is one. Where the server has none
// free it waits, cancellably; raises an ERROR (ERRCODE_CONFIGURATION_LIMIT_EXCEEDED) instead where this session holds
// what others may be waiting for.
Traveller* acquire_traveller(XLogRecPtr lsn);

// The call is over. The traveller may still be busy with what it was asked for.
void release_traveller(Traveller* traveller);

// What the traveller does is not wanted any more.
void cancel_request(const Traveller& traveller);

Channel& channel_of(const Traveller& traveller);

}  // namespace strata::travellers
