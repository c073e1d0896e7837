#include <fmt/format.h>

#include "commands.h"
#include "store/verify.h"

namespace strata::tool {

int verify(const std::string& directory, bool quiet) {
  Verifier verifier(posix_env(), directory, nullptr);
  std::uint64_t problems = 0;
  while (const std::optional<VerifiedFile> file = verifier.next()) {
    if (!file->problem.empty()) {
      ++problems;
      fmt::print("{}: {}\n", file->name, file->problem);
    } else if (!quiet) {
      fmt::print("{}: ok, {} {}, {} bytes\n", file->name, file->entries, file->level < 0 ? "layers" : "entries",
                 file->bytes);
    }
    std::fflush(stdout);
  }
  const VerifyProgress& done = verifier.progress();
  if (!quiet) fmt::print("{} files, {} bytes of layers, {} problems\n", done.files_done, done.bytes_done, problems);
  return problems == 0 ? kSound : kDamaged;
}

}  // namespace strata::tool
