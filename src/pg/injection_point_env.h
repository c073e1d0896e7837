// In a server built with injection points, every step of the store's writing is one: tests hold or end processes there,
// and a write has a middle. Elsewhere this file declares nothing.
//
// A point is named strata-FILE-STEP. FILE is what the file is to the store: flush, merge, gc or baseline (layers),
// manifest, manifest-rewrite, compaction-result, directory. STEP is create, write, half-written, written, sync, synced,
// rename, renamed, remove or removed. What is reported with Env::reached() is strata-POINT.
#pragma once

#include <memory>
#include <string>
#include <vector>

extern "C" {
#include "postgres.h"
}

#include "store/env.h"

#ifdef USE_INJECTION_POINTS

namespace strata::pg {

class InjectionPointEnv final : public Env {
 public:
  explicit InjectionPointEnv(Env& files) : files_(files) {}

  std::unique_ptr<ReadableFile> open(const std::string& path) override { return files_.open(path); }
  std::unique_ptr<WritableFile> create(const std::string& path) override;
  std::unique_ptr<WritableFile> append_to(const std::string& path) override;
  bool exists(const std::string& path) override { return files_.exists(path); }
  std::vector<std::string> list(const std::string& directory) override { return files_.list(directory); }
  void create_directory(const std::string& path) override { files_.create_directory(path); }
  void sync_directory(const std::string& path) override;
  void rename(const std::string& from, const std::string& to) override;
  void remove(const std::string& path) override;
  void truncate(const std::string& path, std::uint64_t size) override { files_.truncate(path, size); }
  std::unique_ptr<WalValues> wal_values() override { return files_.wal_values(); }
  void reached(const char* point) override;

 private:
  Env& files_;
};

}  // namespace strata::pg

#endif
