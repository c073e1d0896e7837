#include "travellers/row_sender.h"

extern "C" {
#include "access/detoast.h"
#include "access/htup_details.h"
#include "executor/tuptable.h"
#include "libpq/pqformat.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "varatt.h"
}

#include "travellers/answer.h"
#include "travellers/answers.h"
#include "travellers/columns.h"
#include "travellers/values.h"

namespace strata::travellers {

namespace {

// The first rows go at once: a session that wants few of them shall not wait for a queue to fill.
constexpr uint64 kRowsAtOnce = 64;

struct RowSender {
  DestReceiver receiver;
  MemoryContext context;  // of the query
  MemoryContext row;      // reset for each row
  TupleDesc given;
  TupleDesc sent;
  bool* as_text;
  FmgrInfo* output;
  bool all_as_they_are;
  bool any_varlena;
  uint64 rows;
};

void send_columns(const TupleDesc given, const bool* as_text) {
  StringInfoData out;
  initStringInfo(&out);
  appendStringInfoChar(&out, kColumns);
  pq_sendint32(&out, static_cast<uint32>(given->natts));
  for (int i = 0; i < given->natts; i++) {
    const Form_pg_attribute column = TupleDescAttr(given, i);
    pq_sendstring(&out, NameStr(column->attname));
    pq_sendint32(&out, column->atttypid);
    pq_sendint32(&out, getBaseType(column->atttypid));
    pq_sendint32(&out, static_cast<uint32>(column->atttypmod));
    pq_sendstring(&out, name_of_type(column->atttypid));
    pq_sendbyte(&out, as_text[i] ? 1 : 0);
  }
  send_answer(out.data, static_cast<Size>(out.len), nullptr, 0, true);
  pfree(out.data);
}

void start_rows(DestReceiver* self, int, TupleDesc given) {
  auto* sender = reinterpret_cast<RowSender*>(self);
  MemoryContext previous = MemoryContextSwitchTo(sender->context);
  sender->given = given;
  sender->as_text = static_cast<bool*>(palloc0(sizeof(bool) * static_cast<Size>(given->natts)));
  sender->output = static_cast<FmgrInfo*>(palloc0(sizeof(FmgrInfo) * static_cast<Size>(given->natts)));
  Oid* types = static_cast<Oid*>(palloc0(sizeof(Oid) * static_cast<Size>(given->natts)));
  sender->all_as_they_are = true;
  sender->any_varlena = false;
  for (int i = 0; i < given->natts; i++) {
    const Form_pg_attribute column = TupleDescAttr(given, i);
    types[i] = column->atttypid;
    if (column->attlen == -1) sender->any_varlena = true;
    if (crosses_as_it_is(column->atttypid)) continue;
    sender->as_text[i] = true;
    sender->all_as_they_are = false;
    Oid function = InvalidOid;
    bool is_varlena = false;
    getTypeOutputInfo(column->atttypid, &function, &is_varlena);
    fmgr_info(function, &sender->output[i]);
  }
  sender->sent = descriptor_of_answer(given->natts, types, sender->as_text);
  send_columns(given, sender->as_text);
  MemoryContextSwitchTo(previous);
}

// Values that point into tables of the moment come along with the row.
Datum whole_value(Datum value) {
  auto* bytes = reinterpret_cast<varlena*>(DatumGetPointer(value));
  return VARATT_IS_EXTERNAL(bytes) ? PointerGetDatum(detoast_external_attr(bytes)) : value;
}

bool holds_pointers(const RowSender& sender, const TupleTableSlot* slot) {
  if (!sender.any_varlena) return false;
  for (int i = 0; i < sender.given->natts; i++) {
    if (slot->tts_isnull[i] || TupleDescAttr(sender.given, i)->attlen != -1) continue;
    if (VARATT_IS_EXTERNAL(reinterpret_cast<varlena*>(DatumGetPointer(slot->tts_values[i])))) return true;
  }
  return false;
}

MinimalTuple converted_row(RowSender& sender, TupleTableSlot* slot) {
  const int count = sender.given->natts;
  auto* values = static_cast<Datum*>(palloc0(sizeof(Datum) * static_cast<Size>(count)));
  for (int i = 0; i < count; i++) {
    if (slot->tts_isnull[i]) continue;
    if (sender.as_text[i]) {
      values[i] = CStringGetTextDatum(OutputFunctionCall(&sender.output[i], slot->tts_values[i]));
    } else {
      values[i] = TupleDescAttr(sender.given, i)->attlen == -1 ? whole_value(slot->tts_values[i]) : slot->tts_values[i];
    }
  }
  return heap_form_minimal_tuple(sender.sent, values, slot->tts_isnull, 0);
}

bool send_row(TupleTableSlot* slot, DestReceiver* self) {
  auto* sender = reinterpret_cast<RowSender*>(self);
  MemoryContext previous = MemoryContextSwitchTo(sender->row);
  slot_getallattrs(slot);
  bool to_be_freed = false;
  const MinimalTuple tuple = sender->all_as_they_are && !holds_pointers(*sender, slot)
                                 ? ExecFetchSlotMinimalTuple(slot, &to_be_freed)
                                 : converted_row(*sender, slot);
  const char header[kRowHeaderBytes] = {kRow};
  const bool wanted = send_answer(header, sizeof(header), reinterpret_cast<const char*>(tuple), tuple->t_len,
                                  sender->rows++ < kRowsAtOnce);
  MemoryContextSwitchTo(previous);
  MemoryContextReset(sender->row);
  return wanted;
}

void end_rows(DestReceiver*) {}
void forget(DestReceiver*) {}

}  // namespace

DestReceiver* make_row_sender() {
  auto* sender = static_cast<RowSender*>(palloc0(sizeof(RowSender)));
  sender->receiver.receiveSlot = send_row;
  sender->receiver.rStartup = start_rows;
  sender->receiver.rShutdown = end_rows;
  sender->receiver.rDestroy = forget;
  sender->receiver.mydest = DestTupleQueue;
  sender->context = CurrentMemoryContext;
  sender->row = AllocSetContextCreate(CurrentMemoryContext, "strata row", ALLOCSET_DEFAULT_SIZES);
  return &sender->receiver;
}

}  // namespace strata::travellers
