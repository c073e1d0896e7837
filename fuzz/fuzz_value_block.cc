// A block: as it stands, and with its checksum put right, so that the fuzzer gets to what is behind it.
#include "fuzz_env.h"
#include "store/block.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  static BlockDecoder decoder;
  std::string block(reinterpret_cast<const char*>(data), size);
  fuzz::parse([&] { (void)decoder.decode(as_bytes(block), "fuzz", 64); });
  if (size < kBlockHeadBytes) return 0;
  // Sizes of gigabytes are legal; they would only make the fuzzer slow.
  block[3] = 0;
  block[4] = 0;
  constexpr std::size_t kHead = 5;
  const std::uint64_t sum = checksum_at(64, as_bytes(block).first(kHead), as_bytes(block).subspan(kBlockHeadBytes));
  std::memcpy(block.data() + kHead, &sum, sizeof sum);
  return fuzz::parse([&] { (void)decoder.decode(as_bytes(block), "fuzz", 64); });
}
