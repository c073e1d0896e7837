// Flushed WAL for PostgreSQL's WAL reader, read many pages at a time.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlogreader.h"
}

#include <memory>

#include "store/lsn.h"

namespace strata::workers {

// The private data of an XLogReaderState whose page_read is read_page.
class WalChunks {
 public:
  WalChunks();

  // XLogReaderRoutine.page_read: copies from the chunk, and reads another one where that does not reach. Raises an
  // ERROR where WAL cannot be read. At the end of the flushed WAL it returns -1 and take_end_of_wal() is true, once.
  static int read_page(XLogReaderState* reader, XLogRecPtr page, int bytes_wanted, XLogRecPtr record, char* buffer);

  [[nodiscard]] bool take_end_of_wal();
  // The end of the flushed WAL when it was last looked for.
  [[nodiscard]] Lsn flushed() const { return flushed_; }

 private:
  std::unique_ptr<char[]> chunk_;
  Lsn begin_ = kInvalidLsn;
  Lsn end_ = kInvalidLsn;  // of what is in the chunk
  Lsn flushed_ = kInvalidLsn;
  bool end_of_wal_ = false;
};

}  // namespace strata::workers
