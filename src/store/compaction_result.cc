#include "store/compaction_result.h"

#include "store/no_postgres.h"

namespace strata {

namespace {

constexpr std::string_view kMagic = "STRMERGE";
constexpr std::size_t kFrameHeadBytes = 12;

std::string path_of(const std::string& directory) { return directory + "/" + std::string(kCompactionResultName); }

}  // namespace

void write_compaction_result(Env& env, const std::string& directory, const ManifestEdit& edit) {
  std::string content(kMagic);
  content += frame_edit(encode_edit(edit), content.size());
  const std::unique_ptr<WritableFile> file = env.create(path_of(directory));
  file->append(as_bytes(content));
  file->close();
}

ManifestEdit read_compaction_result(Env& env, const std::string& directory) {
  const std::string path = path_of(directory);
  const std::unique_ptr<ReadableFile> file = env.open(path);
  std::string content(file->size(), '\0');
  file->read(0, std::as_writable_bytes(std::span(content)));
  const std::size_t head = kMagic.size() + kFrameHeadBytes;
  if (content.size() <= head || !content.starts_with(kMagic)) throw_corrupt(path, 0, "this is no merge");
  const std::string payload = content.substr(head);
  if (frame_edit(payload, kMagic.size()) != content.substr(kMagic.size())) {
    throw_corrupt(path, kMagic.size(), "the checksum of a merge is wrong");
  }
  return decode_edit(as_bytes(payload), path, head);
}

void remove_compaction_result(Env& env, const std::string& directory) { env.remove(path_of(directory)); }

}  // namespace strata
