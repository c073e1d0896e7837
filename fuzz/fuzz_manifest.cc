// The input twice: as a whole manifest, and as the payload of an edit, which checksums keep the fuzzer from reaching.
#include "fuzz_env.h"
#include "store/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  const Bytes input(reinterpret_cast<const std::byte*>(data), size);
  fuzz::parse([&] { (void)decode_manifest(input, "fuzz"); });
  return fuzz::parse([&] {
    std::string content = encode_manifest_header();
    ManifestEdit first;
    first.identity = StoreIdentity{};
    content += frame_edit(encode_edit(first), content.size());
    std::string payload;
    put_bytes(payload, input);
    content += frame_edit(payload, content.size());
    const ManifestState state = decode_manifest(as_bytes(content), "fuzz");
    // What was accepted must survive being written and read again.
    std::string again = encode_manifest_header();
    again += frame_edit(encode_edit(state.as_edit()), again.size());
    if (decode_manifest(as_bytes(again), "fuzz").layers.size() != state.layers.size()) __builtin_trap();
  });
}
