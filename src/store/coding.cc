#include "store/coding.h"

// For a hash state on the stack.
#define XXH_STATIC_LINKING_ONLY
#include <xxhash.h>

#include "store/error.h"
#include "store/no_postgres.h"

namespace strata {

namespace {

void store_big_endian(unsigned char* to, std::uint32_t v) {
  v = __builtin_bswap32(v);
  std::memcpy(to, &v, sizeof v);
}

std::uint32_t load_big_endian(const unsigned char* from) {
  std::uint32_t v;
  std::memcpy(&v, from, sizeof v);
  return __builtin_bswap32(v);
}

}  // namespace

EncodedKey encode_key(const Key& key) {
  EncodedKey out;
  out[0] = static_cast<unsigned char>(key.kind);
  store_big_endian(&out[1], key.tablespace);
  store_big_endian(&out[5], key.database);
  store_big_endian(&out[9], key.relation);
  out[13] = key.fork;
  store_big_endian(&out[14], key.block);
  return out;
}

Key decode_key(const EncodedKey& bytes) {
  return Key{.kind = static_cast<KeyKind>(bytes[0]),
             .tablespace = load_big_endian(&bytes[1]),
             .database = load_big_endian(&bytes[5]),
             .relation = load_big_endian(&bytes[9]),
             .fork = bytes[13],
             .block = load_big_endian(&bytes[14])};
}

std::uint64_t hash_key(const EncodedKey& key) { return XXH3_64bits(key.data(), key.size()); }

std::uint64_t checksum(Bytes bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

std::uint64_t checksum_at(std::uint64_t offset, Bytes head, Bytes body) {
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, &offset, sizeof offset);
  XXH3_64bits_update(&state, head.data(), head.size());
  XXH3_64bits_update(&state, body.data(), body.size());
  return XXH3_64bits_digest(&state);
}

void throw_corrupt(std::string_view file, std::uint64_t offset, std::string_view what) {
  throw StoreError(ErrorKind::kCorrupt, "file \"" + std::string(file) + "\" is corrupt at offset " +
                                            std::to_string(offset) + ": " + std::string(what));
}

}  // namespace strata
