#include "pg/injection_point_env.h"

#ifdef USE_INJECTION_POINTS

#include "pg/guard.h"
#include "store/compaction_result.h"
#include "store/layer_format.h"
#include "store/manifest.h"

extern "C" {
#include "utils/injection_point.h"
}

#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace strata::pg {

namespace {

void run_point(const std::string& name) {
  const std::string full = "strata-" + name;
  caught([&] { INJECTION_POINT(full.c_str(), nullptr); });
}

std::string file_of(std::string_view path) {
  const std::string_view name = path.substr(path.rfind('/') + 1);
  if (name == kManifestName) return "manifest";
  if (name == kManifestTemporaryName) return "manifest-rewrite";
  if (name == kCompactionResultName) return "compaction-result";
  const std::optional<LayerNumber> layer = parse_layer_name(std::string(name));
  // The images of a baseline are as of one LSN.
  if (name.starts_with("image")) return layer && layer->lsns.end - layer->lsns.begin > 1 ? "gc" : "baseline";
  return layer && layer->level == 0 ? "flush" : "merge";
}

class InjectionPointFile final : public WritableFile {
 public:
  InjectionPointFile(std::unique_ptr<WritableFile> file, std::string name)
      : file_(std::move(file)), name_(std::move(name)) {}

  void append(std::span<const std::byte> data) override {
    run_point(name_ + "-write");
    const std::size_t half = data.size() / 2;
    file_->append(data.first(half));
    run_point(name_ + "-half-written");
    file_->append(data.subspan(half));
    run_point(name_ + "-written");
  }
  void sync() override {
    run_point(name_ + "-sync");
    file_->sync();
    run_point(name_ + "-synced");
  }
  void close() override { file_->close(); }

 private:
  std::unique_ptr<WritableFile> file_;
  std::string name_;
};

}  // namespace

std::unique_ptr<WritableFile> InjectionPointEnv::create(const std::string& path) {
  std::unique_ptr<WritableFile> file = files_.create(path);
  const std::string name = file_of(path);
  run_point(name + "-create");
  return std::make_unique<InjectionPointFile>(std::move(file), name);
}

std::unique_ptr<WritableFile> InjectionPointEnv::append_to(const std::string& path) {
  return std::make_unique<InjectionPointFile>(files_.append_to(path), file_of(path));
}

void InjectionPointEnv::sync_directory(const std::string& path) {
  run_point("directory-sync");
  files_.sync_directory(path);
  run_point("directory-synced");
}

void InjectionPointEnv::rename(const std::string& from, const std::string& to) {
  const std::string name = file_of(from);
  run_point(name + "-rename");
  files_.rename(from, to);
  run_point(name + "-renamed");
}

void InjectionPointEnv::remove(const std::string& path) {
  const std::string name = file_of(path);
  run_point(name + "-remove");
  files_.remove(path);
  run_point(name + "-removed");
}

void InjectionPointEnv::reached(const char* point) { run_point(point); }

}  // namespace strata::pg

#endif
