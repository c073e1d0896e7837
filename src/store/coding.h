// Bytes as doc/format.md writes them: integers, varints, keys, checksums.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

#include "store/key.h"

namespace strata {

static_assert(std::endian::native == std::endian::little, "the formats are written as the machine has them");

using Bytes = std::span<const std::byte>;

inline std::string_view as_text(Bytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
inline Bytes as_bytes(std::string_view s) { return {reinterpret_cast<const std::byte*>(s.data()), s.size()}; }

inline void put_bytes(std::string& out, Bytes bytes) {
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}
inline void put_u8(std::string& out, std::uint8_t v) { out.push_back(static_cast<char>(v)); }

template <class Integer>
void put_fixed(std::string& out, Integer v) {
  char raw[sizeof v];
  std::memcpy(raw, &v, sizeof v);
  out.append(raw, sizeof v);
}
inline void put_u32(std::string& out, std::uint32_t v) { put_fixed(out, v); }
inline void put_u64(std::string& out, std::uint64_t v) { put_fixed(out, v); }

inline void put_varint(std::string& out, std::uint64_t v) {
  for (; v >= 0x80; v >>= 7) put_u8(out, static_cast<std::uint8_t>(v | 0x80));
  put_u8(out, static_cast<std::uint8_t>(v));
}

// A key whose order is that of its bytes.
inline constexpr std::size_t kKeyBytes = 18;
using EncodedKey = std::array<unsigned char, kKeyBytes>;

[[nodiscard]] EncodedKey encode_key(const Key& key);
[[nodiscard]] Key decode_key(const EncodedKey& bytes);
// What the filter of a layer is asked for.
[[nodiscard]] std::uint64_t hash_key(const EncodedKey& key);

inline int compare(const EncodedKey& a, const EncodedKey& b) { return std::memcmp(a.data(), b.data(), kKeyBytes); }

inline void put_key(std::string& out, const EncodedKey& key) {
  out.append(reinterpret_cast<const char*>(key.data()), kKeyBytes);
}

[[nodiscard]] std::uint64_t checksum(Bytes bytes);
// Of the eight bytes of `offset`, then `head`, then `body`: a block moved to another place does not verify.
[[nodiscard]] std::uint64_t checksum_at(std::uint64_t offset, Bytes head, Bytes body);

[[noreturn]] void throw_corrupt(std::string_view file, std::uint64_t offset, std::string_view what);

// Reads what the functions above wrote; throws kCorrupt, with the file and the offset, rather than leave the bytes.
class ByteReader {
 public:
  // `base` is the offset of bytes[0] that messages speak of. `file` is borrowed.
  ByteReader(Bytes bytes, std::string_view file, std::uint64_t base) : bytes_(bytes), file_(file), base_(base) {}

  [[nodiscard]] std::size_t position() const { return position_; }
  [[nodiscard]] std::size_t left() const { return bytes_.size() - position_; }
  [[nodiscard]] bool at_end() const { return position_ == bytes_.size(); }
  // REQUIRES: position <= size.
  void set_position(std::size_t position) { position_ = position; }

  std::uint8_t u8() {
    need(1);
    return static_cast<std::uint8_t>(bytes_[position_++]);
  }
  std::uint32_t u32() { return fixed<std::uint32_t>(); }
  std::uint64_t u64() { return fixed<std::uint64_t>(); }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::uint64_t byte = u8();
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (shift == 63 && byte > 1) fail("number too large");
        return value;
      }
    }
    fail("number too long");
  }

  Bytes bytes(std::size_t size) {
    need(size);
    const Bytes result = bytes_.subspan(position_, size);
    position_ += size;
    return result;
  }

  EncodedKey key() {
    EncodedKey key;
    std::memcpy(key.data(), bytes(kKeyBytes).data(), kKeyBytes);
    return key;
  }

  [[noreturn]] void fail(std::string_view what) const { throw_corrupt(file_, base_ + position_, what); }

 private:
  template <class Integer>
  Integer fixed() {
    Integer value;
    std::memcpy(&value, bytes(sizeof value).data(), sizeof value);
    return value;
  }
  void need(std::size_t size) const {
    if (size > left()) fail("ends too early");
  }

  Bytes bytes_;
  std::string_view file_;
  std::uint64_t base_;
  std::size_t position_ = 0;
};

}  // namespace strata
