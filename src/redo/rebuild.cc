#include "redo/redo.h"

extern "C" {
#include "access/rmgr.h"
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogreader.h"
#include "access/xlogrecord.h"
#include "miscadmin.h"
#include "storage/bufpage.h"
#include "utils/memutils.h"
}

#include <cstdint>
#include <cstring>
#include <string>

#include "pg/lsn_format.h"
#include "pg/redo_faults.h"
#include "redo/containment.h"
#include "redo/guarded_page.h"
#include "redo/private_buffers.h"
#include "redo/record_bounds.h"
#include "redo/redo_seams.h"
#include "redo/vm_page.h"
#include "store/page_diff.h"

namespace strata::redo {

Counters counters;

namespace {

// Made once for the process and kept.
struct Machinery {
  bool ready = false;
  MemoryContext context = nullptr;  // current during redo, emptied after each page
  XLogReaderState* reader = nullptr;
  DecodedXLogRecord* decoded = nullptr;
  Size decoded_bytes = 0;
};

Machinery machinery;

// What is being applied. Static, so that it is there after a fault.
struct Work {
  Key key;
  Target target;
  const Version* first = nullptr;
  const Version* end = nullptr;
  volatile XLogRecPtr lsn = InvalidXLogRecPtr;  // of the version in work
  volatile bool failed = false;                 // with an ERROR, of this code and message
  int error_code = 0;
  char error[512] = {};
};

Work work;

// Where rebuild_page() works.
GuardedPage target_page;

void prepare() {
  if (machinery.ready) return;
  if (machinery.context == nullptr) {
    machinery.context = AllocSetContextCreate(TopMemoryContext, "strata redo", ALLOCSET_DEFAULT_SIZES);
  }
  private_buffers.prepare();
  prepare_containment();
  MemoryContext previous = MemoryContextSwitchTo(TopMemoryContext);
  if (machinery.reader == nullptr) {
    XLogReaderRoutine routine = {};
    machinery.reader = XLogReaderAllocate(wal_segment_size, nullptr, &routine, nullptr);
    if (machinery.reader == nullptr) {
      ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"),
                      errdetail("Failed while allocating a WAL reading processor.")));
    }
  }
  // Some resource managers work in memory contexts that only their startup makes.
  RmgrStartup();
  MemoryContextSwitchTo(previous);
  machinery.ready = true;
}

// Keeps the error that redo raised. REQUIRES: in an error handler.
void note_error() {
  MemoryContextSwitchTo(machinery.context);
  ErrorData* error = CopyErrorData();
  FlushErrorState();
  // Redo routines raise what cannot be without an error code of its own: here it means that history is damaged.
  work.error_code = error->sqlerrcode == ERRCODE_INTERNAL_ERROR ? ERRCODE_DATA_CORRUPTED : error->sqlerrcode;
  strlcpy(work.error, error->message != nullptr ? error->message : "unknown error", sizeof(work.error));
  work.failed = true;
}

// With the page and the LSN in its message: who catches it may keep nothing else.
[[noreturn]] void raise_with_page(int code, const char* message) {
  const RelPathStr path = relpathperm(work.target.locator, work.target.fork);
  ereport(ERROR, (errcode(code), errmsg("could not rebuild block %u of relation %s at %X/%X: %s", work.target.block,
                                        path.str, LSN_FORMAT_ARGS(work.lsn), message)));
  pg_unreachable();
}

// Ends this process, whose private memory may be damaged. It holds no lock of redo's: redo takes none.
[[noreturn]] void end_process(const Fault& fault) {
  const char* reason = describe(fault);
  pg::note_redo_fault(work.key, work.lsn, reason);
  // The fault may have come while an error was being raised.
  FlushErrorState();
  error_context_stack = nullptr;
  const RelPathStr path = relpathperm(work.target.locator, work.target.fork);
  ereport(FATAL, (errcode(ERRCODE_DATA_CORRUPTED),
                  errmsg("could not rebuild block %u of relation %s at %X/%X: redo failed with %s", work.target.block,
                         path.str, LSN_FORMAT_ARGS(work.lsn), reason),
                  errdetail("This process ends, because its memory may be damaged."),
                  errhint("The present is not affected. From now on, the page as of moments that need this record is "
                          "an error; strata.status() counts such pages.")));
  pg_unreachable();
}

// Room for the decoded form of a record, its contents undefined.
DecodedXLogRecord* decode_buffer(uint32 record_bytes) {
  const Size needed = DecodeXLogRecordRequiredSpace(record_bytes);
  if (needed > machinery.decoded_bytes) {
    const Size bytes = Max(needed, static_cast<Size>(64 * 1024));
    void* room = MemoryContextAllocHuge(TopMemoryContext, bytes);
    if (machinery.decoded != nullptr) pfree(machinery.decoded);
    machinery.decoded = static_cast<DecodedXLogRecord*>(room);
    machinery.decoded_bytes = bytes;
  }
  return machinery.decoded;
}

bool names_target(const DecodedXLogRecord& record) {
  for (int i = 0; i <= record.max_block_id; ++i) {
    if (record.blocks[i].in_use && is_target(record.blocks[i])) return true;
  }
  return false;
}

// The record where it is, or a copy that is aligned as the struct wants: values lie side by side in their blocks.
XLogRecord* aligned_record(const Value& value) {
  char* bytes = const_cast<char*>(value.data());
  if (reinterpret_cast<std::uintptr_t>(bytes) % MAXIMUM_ALIGNOF != 0) {
    bytes = static_cast<char*>(palloc(value.size()));
    std::memcpy(bytes, value.data(), value.size());
  }
  return reinterpret_cast<XLogRecord*>(bytes);
}

void apply_record(const Version& version) {
  if (version.value.size() < SizeOfXLogRecord) elog(ERROR, "WAL record has a wrong length");
  XLogRecord* record = aligned_record(version.value);
  if (record->xl_tot_len != version.value.size()) elog(ERROR, "WAL record has a wrong length");
  XLogReaderState* reader = machinery.reader;
  DecodedXLogRecord* decoded = decode_buffer(record->xl_tot_len);
  // Nothing of redo asks where its record began; the previous record's end would be a guess.
  reader->ReadRecPtr = version.lsn;
  reader->EndRecPtr = version.lsn;
  char* message = nullptr;
  if (!DecodeXLogRecord(reader, decoded, record, version.lsn, &message)) elog(ERROR, "%s", message);
  decoded->next_lsn = version.lsn;
  reader->record = decoded;
  if (!names_target(*decoded)) elog(ERROR, "WAL record does not change the page");
  if (!RmgrIdExists(record->xl_rmid)) RmgrNotFound(record->xl_rmid);
  check_record_bounds(*decoded, work.target.page);

  ++counters.redo_calls;
  RmgrTable[record->xl_rmid].rm_redo(reader);
  private_buffers.recycle();
}

void apply_image(const Version& version, char* page) {
  if (version.value.size() != BLCKSZ) elog(ERROR, "page image has a wrong length");
  std::memcpy(page, version.value.data(), BLCKSZ);
}

void apply_map_clear(const Target& target, const Version& version) {
  BlockNumber heap_block = InvalidBlockNumber;
  if (version.value.size() != sizeof(heap_block) + 1) elog(ERROR, "visibility map change has a wrong length");
  std::memcpy(&heap_block, version.value.data(), sizeof(heap_block));
  if (target.fork != VISIBILITYMAP_FORKNUM || map_block_of(heap_block) != target.block) {
    elog(ERROR, "visibility map change is of another page");
  }
  clear_map_bits(target.page, heap_block, static_cast<uint8>(version.value[sizeof(heap_block)]));
}

void apply_map_truncate(const Target& target, const Version& version) {
  BlockNumber heap_block = InvalidBlockNumber;
  if (version.value.size() != sizeof(heap_block)) elog(ERROR, "visibility map truncation has a wrong length");
  if (target.fork != VISIBILITYMAP_FORKNUM) elog(ERROR, "visibility map truncation is of another fork");
  std::memcpy(&heap_block, version.value.data(), sizeof(heap_block));
  truncate_map(target.page, target.block, heap_block);
}

void apply_diff(const Version& version, char* page) {
  if (!apply_page_diff(version.value, {page, BLCKSZ})) elog(ERROR, "page diff is damaged");
}

void apply(const Target& target, const Version& version) {
  // A reader's chain begins with its base, on a page of zeroes; an image is all of the page.
  if (version.base && version.type != EntryType::kImage) std::memset(target.page, 0, BLCKSZ);
  switch (version.type) {
    case EntryType::kImage:
      apply_image(version, target.page);
      return;
    case EntryType::kPageDiff:
      apply_diff(version, target.page);
      return;
    case EntryType::kRecord:
      // A base page copied while it changed holds later changes already.
      if (version.base || version.lsn > PageGetLSN(target.page)) apply_record(version);
      return;
    case EntryType::kVmClear:
      apply_map_clear(target, version);
      return;
    case EntryType::kVmTruncate:
      apply_map_truncate(target, version);
      return;
    case EntryType::kUnreconstructable:
      elog(ERROR, "its history was damaged already when its garbage was collected: %s",
           std::string(version.value).c_str());
      return;
    default:
      elog(ERROR, "version of a page has the unknown type %d", static_cast<int>(version.type));
  }
}

void apply_next(const Version& version) {
  work.lsn = version.lsn;
  begin_step();
  if (pg::any_redo_fault()) {
    char reason[pg::kRedoFaultReasonBytes];
    if (pg::find_redo_fault(work.key, version.lsn, reason)) elog(ERROR, "its redo has ended a process: %s", reason);
  }
  apply(work.target, version);
}

// The job. On its own stack, and no error leaves it.
void apply_work(void*) {
  PG_TRY();
  {
    for (const Version* version = work.first; version != work.end; ++version) apply_next(*version);
  }
  PG_CATCH();
  { note_error(); }
  PG_END_TRY();
}

// Applies versions with the process's state replaced, and puts it back.
void apply_to(const Key& key, const Version* first, const Version* end, char* page) {
  prepare();
  work.key = key;
  work.target.locator = {key.tablespace, key.database, key.relation};
  work.target.fork = static_cast<ForkNumber>(key.fork);
  work.target.block = key.block;
  work.target.page = page;
  work.first = first;
  work.end = end;
  work.failed = false;

  MemoryContext caller_context = MemoryContextSwitchTo(machinery.context);
  // Nobody may leave this process by way of an interrupt while the local buffers are not its own.
  const uint32 holdoff = InterruptHoldoffCount;
  HOLD_INTERRUPTS();
  install_seams(work.target, machinery.reader);
  const Fault fault = run_contained(apply_work, nullptr);
  if (fault.signal != 0) {
    abandon_seams();
    MemoryContextSwitchTo(caller_context);
    end_process(fault);
  }
  restore_seams();
  InterruptHoldoffCount = holdoff;
  MemoryContextSwitchTo(caller_context);
  MemoryContextReset(machinery.context);
  if (work.failed) raise_with_page(work.error_code, work.error);
}

// As far as a page that was read from disk is looked at, but for its checksum.
bool has_valid_header(const char* page) {
  PageHeaderData header;
  std::memcpy(&header, page, sizeof(header));
  if (header.pd_upper == 0) return pg_memory_is_all_zeros(page, BLCKSZ);
  const bool in_order =
      header.pd_lower <= header.pd_upper && header.pd_upper <= header.pd_special && header.pd_special <= BLCKSZ;
  return in_order && (header.pd_flags & ~PD_VALID_FLAG_BITS) == 0 && header.pd_special % MAXIMUM_ALIGNOF == 0;
}

}  // namespace

void rebuild_page(const Key& key, const Chain& chain, char* page) {
  char* own = target_page.data();
  if (chain.empty() || !chain.front().base) std::memset(own, 0, BLCKSZ);
  apply_to(key, chain.data(), chain.data() + chain.size(), own);
  if (!has_valid_header(own)) raise_with_page(ERRCODE_DATA_CORRUPTED, "the rebuilt page has an invalid header");
  std::memcpy(page, own, BLCKSZ);
  ++counters.pages;
}

void apply_to_page(const Key& key, const Version& version, GuardedPage& page) {
  apply_to(key, &version, &version + 1, page.data());
}

}  // namespace strata::redo
