#include "pg/wal_images.h"

extern "C" {
#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "access/xlogreader.h"
#include "port/pg_crc32c.h"
#include "storage/bufpage.h"
#include "storage/fd.h"
#include "utils/wait_event.h"
}

#include <algorithm>
#include <cstring>
#include <string>
#include <unordered_map>
#include <vector>

#include "pg/guard.h"
#include "pg/lsn_format.h"
#include "pg/wal_end.h"
#include "store/error.h"

namespace strata::pg {

namespace {

// One segment of WAL, open.
class Segment {
 public:
  explicit Segment(XLogSegNo number) {
    char path[MAXPGPATH];
    XLogFilePath(path, GetWALInsertionTimeLine(), number, wal_segment_size);
    path_ = path;
    caught([&] { file_ = PathNameOpenFile(path, O_RDONLY | PG_BINARY); });
    if (file_ < 0) fail("open");
  }
  ~Segment() { FileClose(file_); }
  Segment(const Segment&) = delete;
  Segment& operator=(const Segment&) = delete;

  void read(Lsn lsn, char* out, std::size_t bytes) const {
    while (bytes > 0) {
      ssize_t n = 0;
      const auto offset = static_cast<off_t>(XLogSegmentOffset(lsn, wal_segment_size));
      caught([&] { n = FileRead(file_, out, bytes, offset, WAIT_EVENT_WAL_READ); });
      if (n < 0) fail("read");
      if (n == 0) throw StoreError(ErrorKind::kIo, "could not read \"" + path_ + "\": it ends too early");
      lsn += static_cast<Lsn>(n);
      out += n;
      bytes -= static_cast<std::size_t>(n);
    }
  }

 private:
  // A segment that is gone may come back, or makes history begin anew: that is told by the slot's state.
  [[noreturn]] void fail(const char* what) const {
    const int error = errno;
    throw StoreError(ErrorKind::kIo, std::string("could not ") + what + " \"" + path_ + "\": " + std::strerror(error));
  }

  std::string path_;
  File file_ = -1;
};

bool checksum_is_right(const XLogRecord* record) {
  pg_crc32c crc;
  INIT_CRC32C(crc);
  COMP_CRC32C(crc, reinterpret_cast<const char*>(record) + SizeOfXLogRecord, record->xl_tot_len - SizeOfXLogRecord);
  COMP_CRC32C(crc, reinterpret_cast<const char*>(record), offsetof(XLogRecord, xl_crc));
  FIN_CRC32C(crc);
  return EQ_CRC32C(record->xl_crc, crc);
}

class WalImages final : public WalValues {
 public:
  void read(std::span<const std::byte> reference, std::string& value) override {
    WalImage image;
    if (reference.size() != sizeof(image)) throw StoreError(ErrorKind::kCorrupt, "a reference into WAL is damaged");
    std::memcpy(&image, reference.data(), sizeof(image));
    char error[1024];
    char* message = error;
    error[0] = '\0';
    XLogReaderState state{};
    state.errormsg_buf = error;
    XLogRecord* record = read_record(image);
    const std::size_t room = DecodeXLogRecordRequiredSpace(record->xl_tot_len) / sizeof(std::uint64_t) + 1;
    if (decoded_.size() < room) decoded_.resize(room);
    state.record = reinterpret_cast<DecodedXLogRecord*>(decoded_.data());
    value.resize(BLCKSZ);
    if (!DecodeXLogRecord(&state, state.record, record, image.begin, &message) ||
        !RestoreBlockImage(&state, static_cast<uint8>(image.block_id), value.data())) {
      throw_damaged(image, message);
    }
    if (!PageIsNew(value.data())) PageSetLSN(value.data(), image.begin + image.bytes);
  }

 private:
  [[noreturn]] static void throw_damaged(const WalImage& image, const char* why) {
    throw StoreError(ErrorKind::kCorrupt, "the WAL record at " + lsn_text(image.begin) + " is damaged: " + why);
  }

  const Segment& segment(XLogSegNo number) {
    std::unique_ptr<Segment>& segment = segments_[number];
    if (segment == nullptr) segment = std::make_unique<Segment>(number);
    return *segment;
  }

  // Holds until the next call. A segment that PostgreSQL uses anew has later records in it, or parts of them.
  XLogRecord* read_record(const WalImage& image) {
    const Lsn end = image.begin + image.bytes;
    if (bytes_.size() < image.bytes) bytes_.resize(image.bytes);
    for (Lsn at = image.begin; at < end;) {
      const XLogSegNo number = at / static_cast<Lsn>(wal_segment_size);
      const Lsn upto = std::min(end, (number + 1) * static_cast<Lsn>(wal_segment_size));
      segment(number).read(at, bytes_.data() + (at - image.begin), upto - at);
      at = upto;
    }
    const std::size_t size = take_page_headers_out(image);
    auto* record = reinterpret_cast<XLogRecord*>(bytes_.data());
    if (size < SizeOfXLogRecord || record->xl_tot_len < SizeOfXLogRecord || record->xl_tot_len > size ||
        record->xl_prev >= image.begin || !checksum_is_right(record)) {
      throw_damaged(image, "its length or its checksum is wrong");
    }
    return record;
  }

  // Returns how many bytes are left.
  std::size_t take_page_headers_out(const WalImage& image) {
    const Lsn end = image.begin + image.bytes;
    std::size_t size = 0;
    for (Lsn at = image.begin; at < end;) {
      at = behind_page_header(at);
      const Lsn upto = std::min(end, (at / XLOG_BLCKSZ + 1) * XLOG_BLCKSZ);
      if (upto <= at) break;
      std::memmove(bytes_.data() + size, bytes_.data() + (at - image.begin), upto - at);
      size += upto - at;
      at = upto;
    }
    return size;
  }

  std::unordered_map<XLogSegNo, std::unique_ptr<Segment>> segments_;
  std::vector<char> bytes_;
  std::vector<std::uint64_t> decoded_;
};

}  // namespace

std::unique_ptr<WalValues> open_wal_images() { return std::make_unique<WalImages>(); }

}  // namespace strata::pg
