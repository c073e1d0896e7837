#include "travellers/answers.h"

extern "C" {
#include "libpq/libpq.h"
#include "libpq/pqcomm.h"
#include "libpq/protocol.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/shm_mq.h"
#include "tcop/dest.h"
#include "tcop/tcopprot.h"
#include "utils/elog.h"
#include "utils/memutils.h"
}

#include "travellers/answer.h"

namespace strata::travellers {

namespace {

shm_mq_handle* queue_handle = nullptr;
// Within a message: an interrupt of it can never be told to the session, so the queue ends there.
bool sending = false;
emit_log_hook_type previous_log_hook = nullptr;

int put_message(char kind, const char* payload, size_t bytes) {
  if (kind != kError && kind != kNotice) return 0;
  return send_answer(&kind, 1, payload, bytes, true) ? 0 : EOF;
}

void put_message_without_waiting(char kind, const char* payload, size_t bytes) { put_message(kind, payload, bytes); }

void reset() {}
int flush() { return 0; }
bool nothing_is_pending() { return false; }

const PQcommMethods methods = {.comm_reset = reset,
                               .flush = flush,
                               .flush_if_writable = flush,
                               .is_send_pending = nothing_is_pending,
                               .putmessage = put_message,
                               .putmessage_noblock = put_message_without_waiting};

// The session reports what its query does, with its own statement.
void leave_reporting_to_the_session(ErrorData* error) {
  if (previous_log_hook != nullptr) previous_log_hook(error);
  if (queue_handle != nullptr && error->elevel <= ERROR) error->output_to_server = false;
}

void install() {
  static bool installed = false;
  if (installed) return;
  installed = true;
  PqCommMethods = &methods;
  whereToSendOutput = DestRemote;
  FrontendProtocol = PG_PROTOCOL_LATEST;
  previous_log_hook = emit_log_hook;
  emit_log_hook = leave_reporting_to_the_session;
}

}  // namespace

void open_answers(char* queue) {
  install();
  auto* mq = reinterpret_cast<shm_mq*>(queue);
  shm_mq_set_sender(mq, MyProc);
  MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);
  queue_handle = shm_mq_attach(mq, nullptr, nullptr);
  MemoryContextSwitchTo(context);
  sending = false;
}

void close_answers() {
  if (queue_handle == nullptr) return;
  shm_mq_handle* closed = queue_handle;
  queue_handle = nullptr;
  shm_mq_detach(closed);
}

bool send_answer(const char* message, Size bytes, const char* more, Size more_bytes, bool at_once) {
  if (queue_handle == nullptr) return false;
  if (sending) {
    close_answers();
    return false;
  }
  shm_mq_iovec parts[2] = {{message, bytes}, {more, more_bytes}};
  sending = true;
  const shm_mq_result result = shm_mq_sendv(queue_handle, parts, more_bytes > 0 ? 2 : 1, false, at_once);
  sending = false;
  return result == SHM_MQ_SUCCESS;
}

}  // namespace strata::travellers
