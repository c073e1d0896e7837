// The owner of the manifest: which layers there are, and which obsolete files are still there for late readers.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "store/manifest.h"
#include "store/memtable.h"

namespace strata {

class ManifestOwner {
 public:
  // Writes an empty manifest. Throws kInvalid when there is one, and kCorrupt when there are layers whose manifest is
  // gone: they are no orphans.
  static void create(Env& env, const std::string& directory, const StoreIdentity& identity);
  [[nodiscard]] static bool exists(Env& env, const std::string& directory);
  // Removes the manifest, durably, then all that it named.
  static void destroy(Env& env, const std::string& directory);

  // Replays the manifest, drops a torn tail, and finds orphans. `shared` is borrowed.
  ManifestOwner(Env& env, std::string directory, SharedStore& shared);

  [[nodiscard]] const ManifestState& state() const { return state_; }
  [[nodiscard]] const std::string& directory() const { return directory_; }

  // A number that no layer had or will have, should the caller name one in a later edit.
  std::uint64_t take_number() { return shared_.take_layer_number(); }

  // Makes the edit durable and raises the layer map version. REQUIRES: files added are durable, their names too.
  // When it throws, whether the edit counts after a crash is open, and state() is as before; the files that the edit
  // adds are obsolete once a later edit has succeeded.
  void apply(ManifestEdit edit);

  // After an apply() that threw: writes the manifest anew as state() has it, so that the edit does not count.
  void settle();

  // Marks orphans as obsolete: layer files that are neither named, nor waiting to be removed, nor of a merge
  // or a flush that is running beside.
  void find_orphans();
  // Files that an edit would have named.
  void discard(const std::vector<Layer>& layers);

  // Removes the files of layers that were taken out, as far as no reader may still use them. Never throws: what could
  // not be removed is tried again the next time.
  void remove_obsolete_files();
  // Files that wait for it.
  [[nodiscard]] std::size_t obsolete_files() const { return obsolete_files_.size(); }

 private:
  struct ObsoleteFile {
    std::string name;
    std::uint64_t version;  // the first layer map version that does not name it
  };

  static std::unique_ptr<WritableFile> rewrite(Env& env, const std::string& directory, const ManifestState& state,
                                               std::uint64_t& bytes);
  void discard(const std::string& name);

  Env& env_;
  std::string directory_;
  SharedStore& shared_;
  ManifestState state_;
  std::unique_ptr<WritableFile> file_;  // null: rewrite before anything is appended
  std::uint64_t bytes_ = 0;             // of the manifest
  std::uint64_t bytes_rewritten_ = 0;   // when it was last rewritten
  std::vector<ObsoleteFile> obsolete_files_;
};

}  // namespace strata
