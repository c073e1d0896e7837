#include "describe.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>

#include "store/time_marks.h"

namespace strata::tool {

namespace {

constexpr std::array<std::string_view, 4> kForks = {"main", "fsm", "vm", "init"};
// By number.
constexpr std::array<std::string_view, 22> kResourceManagers = {
    "XLOG",       "Transaction",   "Storage", "CLOG",     "Database",
    "Tablespace", "MultiXact",     "RelMap",  "Standby",  "Heap2",
    "Heap",       "Btree",         "Hash",    "Gin",      "Gist",
    "Sequence",   "SPGist",        "BRIN",    "CommitTs", "ReplicationOrigin",
    "Generic",    "LogicalMessage"};
constexpr std::array<std::string_view, 4> kStatuses = {"in progress", "committed", "aborted", "subcommitted"};
constexpr unsigned kMovedHunk = 0x8000;  // of a page diff's length
constexpr std::int64_t kMicroseconds = 1'000'000;
constexpr std::int64_t kSecondsTo2000 = 946'684'800;  // from 1970

// Zero where the value is too short: the text is for the eye, verify is for damage.
template <class Integer>
Integer number_at(std::string_view value, std::size_t offset) {
  Integer number{};
  if (value.size() >= offset + sizeof(number)) std::memcpy(&number, value.data() + offset, sizeof(number));
  return number;
}

std::string record_text(std::string_view value) {
  const auto manager = number_at<std::uint8_t>(value, 17);
  const std::string name =
      manager < kResourceManagers.size() ? std::string(kResourceManagers[manager]) : fmt::format("custom{}", manager);
  return fmt::format("{} info 0x{:02X}, xid {}", name, number_at<std::uint8_t>(value, 16),
                     number_at<std::uint32_t>(value, 4));
}

std::string image_text(std::string_view value) {
  const Lsn lsn = (Lsn{number_at<std::uint32_t>(value, 0)} << 32) | number_at<std::uint32_t>(value, 4);
  return fmt::format("page LSN {}, lower {}, upper {}, special {}", lsn_text(lsn), number_at<std::uint16_t>(value, 12),
                     number_at<std::uint16_t>(value, 14), number_at<std::uint16_t>(value, 16));
}

std::string diff_text(std::string_view value) {
  std::string text = "bytes";
  for (std::size_t at = 0; at + 4 <= value.size();) {
    const auto offset = number_at<std::uint16_t>(value, at);
    const auto length = number_at<std::uint16_t>(value, at + 2);
    const bool moved = (length & kMovedHunk) != 0;
    text += fmt::format(" {}+{}", offset, length & ~kMovedHunk);
    if (moved) text += fmt::format(" from {}", number_at<std::uint16_t>(value, at + 4));
    at += 4 + (moved ? std::size_t{2} : length);
  }
  return text;
}

std::string statuses_text(std::string_view value) {
  const auto status = number_at<std::uint8_t>(value, 0);
  std::string text = status < kStatuses.size() ? std::string(kStatuses[status]) : fmt::format("status {}", status);
  for (std::size_t at = 1; at + 4 <= value.size(); at += 4)
    text += fmt::format(" {}", number_at<std::uint32_t>(value, at));
  return text;
}

std::string whole_value_text(const Key& key, std::string_view value) {
  switch (key.kind) {
    case KeyKind::kRelationSize:
      return value.empty() ? "no such fork" : fmt::format("{} blocks", number_at<std::uint32_t>(value, 0));
    case KeyKind::kTruncation:
      return fmt::format("{} blocks survive", number_at<std::uint32_t>(value, 0));
    case KeyKind::kDatabase:
      if (value.empty()) return "created or dropped";
      return fmt::format("copied from {}/{}", number_at<std::uint32_t>(value, 0), number_at<std::uint32_t>(value, 4));
    case KeyKind::kNextXid:
      return fmt::format("{}", number_at<std::uint64_t>(value, 0));
    case KeyKind::kTimeMark:
      return fmt::format("record at {}", lsn_text(number_at<std::uint64_t>(value, 0)));
    case KeyKind::kTablespace:
      return std::string(value);
    default:
      return fmt::format("{} bytes", value.size());
  }
}

}  // namespace

std::string lsn_text(Lsn lsn) { return fmt::format("{:X}/{:X}", lsn >> 32, lsn & 0xFFFFFFFF); }

std::string time_text(std::int64_t time) {
  const std::int64_t fraction = ((time % kMicroseconds) + kMicroseconds) % kMicroseconds;
  const auto seconds = static_cast<std::time_t>((time - fraction) / kMicroseconds + kSecondsTo2000);
  return fmt::format("{:%Y-%m-%d %H:%M:%S}.{:06d}+00", fmt::gmtime(seconds), fraction);
}

std::optional<Lsn> parse_lsn(const std::string& text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string::npos) return std::nullopt;
  const auto half = [&](std::size_t begin, std::size_t end) -> std::optional<std::uint32_t> {
    std::uint32_t value = 0;
    const auto [stop, error] = std::from_chars(text.data() + begin, text.data() + end, value, 16);
    if (error != std::errc() || stop != text.data() + end) return std::nullopt;
    return value;
  };
  const auto high = half(0, slash);
  const auto low = half(slash + 1, text.size());
  if (!high || !low) return std::nullopt;
  return (Lsn{*high} << 32) | *low;
}

std::optional<KeyKind> parse_kind(std::string text) {
  std::replace(text.begin(), text.end(), '-', ' ');
  std::replace(text.begin(), text.end(), '_', ' ');
  for (int kind = 0; kind <= 255; ++kind) {
    const char* name = name_of(static_cast<KeyKind>(kind));
    if (name != nullptr && text == name) return static_cast<KeyKind>(kind);
  }
  return std::nullopt;
}

std::optional<std::uint8_t> parse_fork(std::string_view text) {
  const auto found = std::find(kForks.begin(), kForks.end(), text);
  if (found == kForks.end()) return std::nullopt;
  return static_cast<std::uint8_t>(found - kForks.begin());
}

std::string key_text(const Key& key) {
  const char* name = name_of(key.kind);
  const std::string kind = name != nullptr ? name : fmt::format("kind {}", static_cast<int>(key.kind));
  const std::string fork = key.fork < kForks.size() ? std::string(kForks[key.fork]) : fmt::format("fork{}", key.fork);
  switch (key.kind) {
    case KeyKind::kPage:
      return fmt::format("{} {}/{}/{} {} {}", kind, key.tablespace, key.database, key.relation, fork, key.block);
    case KeyKind::kRelationSize:
    case KeyKind::kTruncation:
      return fmt::format("{} {}/{}/{} {}", kind, key.tablespace, key.database, key.relation, fork);
    case KeyKind::kDatabase:
    case KeyKind::kRelationMap:
      return fmt::format("{} {}/{}", kind, key.tablespace, key.database);
    case KeyKind::kCommitLog:
    case KeyKind::kMultiXact:
      return fmt::format("{} {}", kind, key.block);
    case KeyKind::kTablespace:
      return fmt::format("{} {}", kind, key.tablespace);
    case KeyKind::kTimeMark:
      return fmt::format("{} {}", kind, time_text(time_of_mark(key)));
    default:
      return kind;
  }
}

std::string_view type_text(EntryType type) {
  switch (type) {
    case EntryType::kValue:
      return "value";
    case EntryType::kImage:
      return "image";
    case EntryType::kRecord:
      return "record";
    case EntryType::kVmClear:
      return "vm clear";
    case EntryType::kVmTruncate:
      return "vm truncate";
    case EntryType::kXidStatus:
      return "xid status";
    case EntryType::kPageDiff:
      return "page diff";
    case EntryType::kUnreconstructable:
      return "unreconstructable";
  }
  return "unknown type";
}

std::string value_text(const Key& key, EntryType type, std::string_view value) {
  switch (type) {
    case EntryType::kValue:
      return whole_value_text(key, value);
    case EntryType::kImage:
      return key.kind == KeyKind::kPage ? image_text(value) : fmt::format("{} bytes", value.size());
    case EntryType::kRecord:
      return record_text(value);
    case EntryType::kVmClear:
      return fmt::format("heap block {}, flags {}", number_at<std::uint32_t>(value, 0),
                         number_at<std::uint8_t>(value, 4));
    case EntryType::kVmTruncate:
      return fmt::format("heap blocks from {} on", number_at<std::uint32_t>(value, 0));
    case EntryType::kXidStatus:
      return statuses_text(value);
    case EntryType::kPageDiff:
      return diff_text(value);
    case EntryType::kUnreconstructable:
      return std::string(value);
  }
  return "";
}

std::string hex(std::string_view bytes) {
  std::string text;
  text.reserve(2 * bytes.size());
  for (const char byte : bytes) fmt::format_to(std::back_inserter(text), "{:02x}", static_cast<unsigned char>(byte));
  return text;
}

}  // namespace strata::tool
