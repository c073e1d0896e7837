// A block of either form: as it stands, and with its checksum put right, so that the fuzzer gets to what is behind it;
// with a dictionary and without one.
#include "fuzz_env.h"
#include "store/block.h"

namespace {

using namespace strata;

constexpr std::uint64_t kOffset = 64;
constexpr std::size_t kWideHead = 5;

std::shared_ptr<const DecompressionDictionary> some_dictionary() {
  constexpr std::string_view kWords = "some words that a block may repeat";
  BlockContent content(kWords.size());
  std::memcpy(content.data(), kWords.data(), kWords.size());
  return DecompressionDictionary::make(content.take(), kWords.size());
}

void decode(const std::string& stored, BlockForm form) {
  static BlockDecoder decoder;
  static const auto dictionary = some_dictionary();
  const StoredBlock block = parse_block(as_bytes(stored), form, "fuzz", kOffset);
  // Sizes of gigabytes are legal; they would only make the fuzzer slow.
  if (block.content_bytes > (1U << 20)) return;
  (void)decoder.decode(block, dictionary.get(), "fuzz", kOffset);
  (void)decoder.decode(block, nullptr, "fuzz", kOffset);
}

// Puts the checksum between a head of `head` bytes and the payload.
template <class Sum>
void repair(std::string& stored, std::size_t head) {
  if (stored.size() < head + sizeof(Sum)) return;
  const Bytes bytes = as_bytes(stored);
  const auto sum = static_cast<Sum>(checksum_at(kOffset, bytes.first(head), bytes.subspan(head + sizeof(Sum))));
  std::memcpy(stored.data() + head, &sum, sizeof sum);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string block(reinterpret_cast<const char*>(data), size);
  fuzz::parse([&] { decode(block, BlockForm::kWide); });
  fuzz::parse([&] { decode(block, BlockForm::kCompact); });
  repair<std::uint64_t>(block, kWideHead);
  fuzz::parse([&] { decode(block, BlockForm::kWide); });
  std::size_t head = 0;
  while (head < size && (data[head] & 0x80) != 0) ++head;
  repair<std::uint32_t>(block, head + 1);
  return fuzz::parse([&] { decode(block, BlockForm::kCompact); });
}
