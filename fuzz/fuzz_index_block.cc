// The content of an index block: walked from its begin, and searched.
#include "fuzz_env.h"
#include "store/index_block.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  const std::string content(reinterpret_cast<const char*>(data), size);
  const LsnRange lsns{.begin = 100, .end = 100000};
  fuzz::parse([&] {
    IndexBlockCursor cursor(content, lsns, "fuzz", 0);
    EncodedKey last{};
    for (cursor.seek_first(); cursor.valid(); cursor.next()) {
      const IndexEntry& entry = cursor.entry();
      if (compare(entry.key, last) < 0 || !lsns.contains(entry.lsn)) __builtin_trap();
      last = entry.key;
    }
  });
  return fuzz::parse([&] {
    IndexBlockCursor cursor(content, lsns, "fuzz", 0);
    EncodedKey key{};
    for (std::size_t i = 0; i < key.size() && i < size; ++i) key[i] = data[i];
    for (const Lsn at : {Lsn{0}, Lsn{500}, kMaxLsn}) {
      cursor.seek(key, at);
      if (cursor.valid() && compare(cursor.entry().key, key) < 0) __builtin_trap();
    }
  });
}
