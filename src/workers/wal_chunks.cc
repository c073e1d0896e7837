#include "workers/wal_chunks.h"

extern "C" {
#include "access/xlog.h"
#include "access/xlogutils.h"
}

#include <algorithm>
#include <cstring>
#include <utility>

namespace strata::workers {
namespace {

// A system call a page costs as much as all else that reading WAL takes; more than this no longer stays in the cache
// of the core.
constexpr std::size_t kChunkBytes = std::size_t{16} * XLOG_BLCKSZ;

}  // namespace

WalChunks::WalChunks() : chunk_(std::make_unique_for_overwrite<char[]>(kChunkBytes)) {}

bool WalChunks::take_end_of_wal() { return std::exchange(end_of_wal_, false); }

int WalChunks::read_page(XLogReaderState* reader, XLogRecPtr page, int bytes_wanted, XLogRecPtr, char* buffer) {
  WalChunks& chunks = *static_cast<WalChunks*>(reader->private_data);
  if (page < chunks.begin_ || page + static_cast<Lsn>(bytes_wanted) > chunks.end_) {
    TimeLineID timeline = 0;
    const XLogRecPtr flushed = chunks.flushed_ = GetFlushRecPtr(&timeline);
    if (page + static_cast<Lsn>(bytes_wanted) > flushed) {
      chunks.end_of_wal_ = true;
      return -1;
    }
    const auto bytes = static_cast<std::size_t>(std::min<Lsn>(flushed - page, kChunkBytes));
    chunks.begin_ = chunks.end_ = kInvalidLsn;
    WALReadError error;
    if (!WALRead(reader, chunks.chunk_.get(), page, static_cast<Size>(bytes), timeline, &error)) {
      WALReadRaiseError(&error);
    }
    chunks.begin_ = page;
    chunks.end_ = page + bytes;
  }
  const auto bytes = static_cast<int>(std::min<Lsn>(chunks.end_ - page, XLOG_BLCKSZ));
  std::memcpy(buffer, chunks.chunk_.get() + (page - chunks.begin_), static_cast<std::size_t>(bytes));
  return bytes;
}

}  // namespace strata::workers
