// What counts as written WAL, and where it goes on.
#pragma once

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
}

#include <optional>

namespace strata::pg {

// `lsn`, where WAL has been inserted up to there. At a page's boundary pg_current_wal_insert_lsn() says where the next
// record will begin, behind the page's header: that stands for the end of WAL, beyond which nothing can be flushed.
// Nothing when `lsn` is in the future.
inline std::optional<XLogRecPtr> inserted_lsn(XLogRecPtr lsn) {
  if (lsn <= GetXLogInsertEndRecPtr()) return lsn;
  // In this order: WAL that is inserted meanwhile moves the end to `lsn` or beyond.
  const XLogRecPtr next = GetXLogInsertRecPtr();
  const XLogRecPtr end = GetXLogInsertEndRecPtr();
  if (lsn <= end) return lsn;
  if (lsn <= next) return end;
  return std::nullopt;
}

// Where the bytes of records go on at `lsn`: behind the page's header, where one begins there.
inline XLogRecPtr behind_page_header(XLogRecPtr lsn) {
  if (lsn % XLOG_BLCKSZ != 0) return lsn;
  return lsn + (XLogSegmentOffset(lsn, wal_segment_size) == 0 ? SizeOfXLogLongPHD : SizeOfXLogShortPHD);
}

}  // namespace strata::pg
