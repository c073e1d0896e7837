// A merge on its way from the compactor to the writer. Its payload is a manifest's edit: see fuzz_manifest.
#include "fuzz_env.h"
#include "store/compaction_result.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace strata;
  fuzz::parse([&] {
    fuzz::MemoryEnv env(std::string(reinterpret_cast<const char*>(data), size));
    (void)read_compaction_result(env, "fuzz");
  });
  return fuzz::parse([&] {
    std::string content = "STRMERGE";
    content += frame_edit(std::string(reinterpret_cast<const char*>(data), size), content.size());
    fuzz::MemoryEnv env(content);
    (void)read_compaction_result(env, "fuzz");
  });
}
