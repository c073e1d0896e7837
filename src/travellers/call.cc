#include "travellers/call.h"

extern "C" {
#include "executor/tuptable.h"
#include "libpq/pqmq.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "utils/elog.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
}

#include "travellers/answer.h"
#include "travellers/channel.h"
#include "travellers/pool.h"
#include "travellers/request.h"

namespace strata::travellers {

struct Call {
  MemoryContext context;
  ResourceOwner owner;
  Traveller* traveller;
  shm_mq_handle* answers;
  bool answered;  // the traveller has sent its last message
  RowPlan* plan;
  TupleTableSlot* slot;
};

namespace {

// Travellers end for reasons of their own, idle ones at any time: a request that none has taken up is sent to another.
constexpr int kAttempts = 5;

void finish(Call* call) {
  // The traveller, if it is in the middle of a row, learns by this that it can stop.
  if (call->answers != nullptr) shm_mq_detach(call->answers);
  if (!call->answered) cancel_request(*call->traveller);
  release_traveller(call->traveller);
  MemoryContextDelete(call->context);
}

void release(Datum call) { finish(static_cast<Call*>(static_cast<void*>(DatumGetPointer(call)))); }

const ResourceOwnerDesc kCallResource = {.name = "call of a strata traveller",
                                         .release_phase = RESOURCE_RELEASE_BEFORE_LOCKS,
                                         .release_priority = RELEASE_PRIO_LAST,
                                         .ReleaseResource = release,
                                         .DebugPrint = nullptr};

Call* make_call(XLogRecPtr lsn) {
  ResourceOwnerEnlarge(CurrentResourceOwner);
  Traveller* traveller = acquire_traveller(lsn);
  MemoryContext context = AllocSetContextCreate(TopMemoryContext, "strata call", ALLOCSET_SMALL_SIZES);
  auto* call = static_cast<Call*>(MemoryContextAllocZero(context, sizeof(Call)));
  call->context = context;
  call->traveller = traveller;
  call->owner = CurrentResourceOwner;
  ResourceOwnerEnlarge(CurrentResourceOwner);
  ResourceOwnerRemember(CurrentResourceOwner, PointerGetDatum(call), &kCallResource);
  return call;
}

// False where the traveller has gone.
bool send_request(Call* call, StringInfo request) {
  Channel& place = channel_of(*call->traveller);
  MemoryContext previous = MemoryContextSwitchTo(call->context);
  shm_mq* queue = shm_mq_create(place.answers, kAnswerQueueBytes);
  shm_mq_set_receiver(queue, MyProc);
  call->answers = shm_mq_attach(queue, nullptr, call->traveller->worker);
  MemoryContextSwitchTo(previous);
  call->traveller->sent++;
  {
    const ChannelLock lock;
    place.busy = true;
  }
  // Until the request is there as a whole, the traveller cannot be used for another.
  call->traveller->spoilt = true;
  const shm_mq_result result =
      shm_mq_send(call->traveller->requests, static_cast<Size>(request->len), request->data, false, true);
  call->traveller->spoilt = result != SHM_MQ_SUCCESS;
  return result == SHM_MQ_SUCCESS;
}

bool has_begun(const Call* call) {
  const ChannelLock lock;
  return channel_of(*call->traveller).begun == call->traveller->sent;
}

void raise_as_ours(Call* call, StringInfo message, char kind) {
  ErrorData error;
  pq_parse_errornotice(message, &error);
  // That a traveller ends is no reason for the session to end.
  error.elevel = Min(error.elevel, ERROR);
  if (kind == kError) call->answered = true;
  ThrowErrorData(&error);
}

[[noreturn]] void raise_gone() {
  ereport(ERROR, (errcode(ERRCODE_CONNECTION_FAILURE), errmsg("the traveller of this call has ended"),
                  errhint("The server's log may say why. The call can be repeated.")));
  pg_unreachable();
}

// The next message that is not a notice; false where there is none any more.
bool receive(Call* call, StringInfo message) {
  for (;;) {
    Size bytes = 0;
    void* data = nullptr;
    if (shm_mq_receive(call->answers, &bytes, &data, false) != SHM_MQ_SUCCESS) return false;
    initReadOnlyStringInfo(message, static_cast<char*>(data), static_cast<int>(bytes));
    const char kind = message->data[0];
    if (kind != kError && kind != kNotice) return true;
    message->cursor = 1;
    raise_as_ours(call, message, kind);
  }
}

void take_columns(Call* call, StringInfo message, TupleDesc expected) {
  if (message->data[0] != kColumns) elog(ERROR, "unexpected message of a traveller: %d", message->data[0]);
  message->cursor = 1;
  MemoryContext previous = MemoryContextSwitchTo(call->context);
  call->plan = plan_rows(message, expected);
  call->slot = MakeSingleTupleTableSlot(call->plan->answer, &TTSOpsMinimalTuple);
  MemoryContextSwitchTo(previous);
}

}  // namespace

Call* begin_call(XLogRecPtr lsn, StringInfo request, TupleDesc expected) {
  for (int attempt = 0; attempt < kAttempts; attempt++) {
    Call* call = make_call(lsn);
    StringInfoData message;
    if (send_request(call, request) && receive(call, &message)) {
      take_columns(call, &message, expected);
      return call;
    }
    const bool begun = has_begun(call);
    end_call(call);
    if (begun) raise_gone();
  }
  raise_gone();
}

Call* begin_query_call(XLogRecPtr lsn, const char* query, int count, const Datum* values, const Oid* types,
                       const bool* nulls, TupleDesc expected) {
  StringInfoData request;
  initStringInfo(&request);
  put_orders(&request, lsn, RequestKind::kQuery);
  put_query(&request, query, count, values, types, nulls);
  Call* call = begin_call(lsn, &request, expected);
  pfree(request.data);
  return call;
}

bool next_row(Call* call, Datum* values, bool* nulls) {
  StringInfoData message;
  if (!receive(call, &message)) raise_gone();
  if (message.data[0] == kDone) {
    call->answered = true;
    return false;
  }
  Assert(message.data[0] == kRow);
  ExecStoreMinimalTuple(reinterpret_cast<MinimalTuple>(message.data + kRowHeaderBytes), call->slot, false);
  slot_getallattrs(call->slot);
  convert_row(*call->plan, call->slot->tts_values, call->slot->tts_isnull, values, nulls);
  return true;
}

TupleDesc row_type(const Call* call) { return call->plan->result; }

void end_call(Call* call) {
  ResourceOwnerForget(call->owner, PointerGetDatum(call), &kCallResource);
  finish(call);
}

}  // namespace strata::travellers
