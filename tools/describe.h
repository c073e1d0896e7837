// Keys and versions as text.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "store/entry.h"

namespace strata::tool {

// As PostgreSQL writes it: 0/17C1FF0.
[[nodiscard]] std::string lsn_text(Lsn lsn);
[[nodiscard]] std::optional<Lsn> parse_lsn(const std::string& text);

// Microseconds since 2000-01-01 UTC, as 2026-11-28 09:40:00.000000+00.
[[nodiscard]] std::string time_text(std::int64_t time);

// By its name, for example "relation map"; '-' and '_' stand for the blank.
[[nodiscard]] std::optional<KeyKind> parse_kind(std::string text);
// main, fsm, vm, init.
[[nodiscard]] std::optional<std::uint8_t> parse_fork(std::string_view text);

[[nodiscard]] std::string key_text(const Key& key);
[[nodiscard]] std::string_view type_text(EntryType type);
// What the value says, in a line.
[[nodiscard]] std::string value_text(const Key& key, EntryType type, std::string_view value);
[[nodiscard]] std::string hex(std::string_view bytes);

}  // namespace strata::tool
