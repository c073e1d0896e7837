// WAL records as versions of keys: what each record changes, including what it changes without naming a block.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/transam.h"
#include "access/xlogreader.h"
#include "common/relpath.h"
#include "datatype/timestamp.h"
#include "storage/relfilelocator.h"
}

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ingest/entry_batch.h"
#include "ingest/hint_images.h"
#include "ingest/history_ends.h"
#include "ingest/relation_sizes.h"
#include "store/store.h"

namespace strata::ingest {

// Follows the WAL of one timeline, record after record, from where the store ends. Not thread-safe.
class WalDecoder {
 public:
  // REQUIRES: everything in the store is published, the first record is the one that begins at `start`.
  WalDecoder(Reader& reader, const StoreIdentity& identity, const Horizon& horizon, Lsn start);

  // What the record that was just read changes, in the order in which it applies. The span holds until the next call.
  // `published`: up to where `reader` sees what earlier calls returned.
  // Throws HistoryEnds, or StoreError; after a StoreError the same record may be given again.
  std::span<const Entry> decode(XLogReaderState* record, Lsn published);

  // From now on images stay in WAL, and versions only say where: for a backlog, nearly all of which are images.
  void leave_images_in_wal(bool leave) { leave_images_in_wal_ = leave; }

  // The last record's entries must be published before the next record is decoded: it may depend on them.
  [[nodiscard]] bool must_publish() const { return must_publish_; }

  // The latest timestamp of a commit or abort so far; 0 before the first one.
  [[nodiscard]] std::int64_t newest_time() const { return newest_time_; }

 private:
  // By resource manager; one file for each group.
  void dispatch();
  void decode_xlog();          // decode_xlog.cc
  void decode_checkpoint();    //
  void decode_parameters();    //
  void decode_multixact();     //
  void decode_tablespace();    // decode_storage.cc
  void decode_commit_log();    //
  void decode_transaction();   // decode_transaction.cc
  void decode_heap();          // decode_heap.cc
  void decode_heap2();         //
  void decode_storage();       // decode_storage.cc
  void decode_database();      //
  void decode_relation_map();  //

  // Every block that the record names.
  void add_blocks();
  void add_block(int block_id);
  // The page that the block's image restores, in the batch's memory.
  char* restore_image(int block_id);
  // The same, but undefined between its header and its special space, where that is quicker to have.
  const char* restore_ends_of_image(int block_id);    // decode_xlog.cc
  [[nodiscard]] bool says_nothing_new(int block_id);  // decode_xlog.cc
  void grow(const RelFileLocator& locator, ForkNumber fork, BlockNumber blocks);
  void drop(const RelFileLocator& locator);
  void truncate_map(const RelFileLocator& locator, BlockNumber heap_blocks);
  // Clears the visibility-map bits of the heap block that `heap_ref` names, unless the record names the map's page.
  void clear_map_unless_named(int heap_ref, int map_ref, std::uint8_t flags);
  void clear_map(const RelFileLocator& locator, BlockNumber heap_block, std::uint8_t flags);
  void set_statuses(std::uint8_t status, TransactionId xid, std::span<const TransactionId> children);
  void mark_time(TimestampTz time);
  void advance_next_xid(TransactionId xid);

  [[nodiscard]] std::uint8_t info() const;
  [[nodiscard]] const char* data() const { return XLogRecGetData(record_); }
  [[noreturn]] void throw_unknown_record() const;
  [[nodiscard]] std::string describe_record() const;

  Reader& reader_;
  StoreIdentity identity_;
  Horizon horizon_;
  RelationSizes sizes_;
  ChainLengths chain_lengths_;
  EntryBatch batch_;
  XLogReaderState* record_ = nullptr;
  Lsn published_ = kInvalidLsn;
  bool must_publish_ = false;
  bool leave_images_in_wal_ = false;
  // The record's bytes without any image, made when the first block needs them.
  std::span<const std::byte> bare_record_;

  std::uint64_t next_xid_ = 0;  // a FullTransactionId
  bool has_time_mark_ = false;
  std::int64_t newest_time_ = 0;
  // A database whose relations the last record replaced as a whole.
  struct ReplacedDatabase {
    Oid tablespace;
    Oid database;
  };
  std::vector<ReplacedDatabase> replaced_databases_;
};

}  // namespace strata::ingest
