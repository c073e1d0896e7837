// Turns history up to an LSN into images: what can still be asked for stays as it is, to the byte. Everything older
// goes, and so do the pages of relations and databases that were dropped by then.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/compactor.h"
#include "store/copied_keys.h"
#include "store/layer_map.h"
#include "store/merge_cursor.h"
#include "store/output_files.h"
#include "store/page_states.h"
#include "store/reservoir.h"
#include "store/run_writer.h"
#include "store/gc_plan.h"

namespace strata {

class GarbageCollector {
 public:
  // All are borrowed.
  GarbageCollector(Env& env, std::string directory, SharedStore& shared, Reader& reader, PageRebuilder& rebuilder,
                   BlockCache& cache, const CompactorOptions& options);

  // Writes what takes the place of the plan's layers, durably. Images that nothing has changed stay.
  // Every key is offered to `samples`. `old_multixacts` is borrowed for the call.
  [[nodiscard]] ManifestEdit run(const GcPlan& plan, const OldMultixacts& old_multixacts, OutputFiles& files,
                                 Reservoir<Key>& samples);

 private:
  // A version at or below the cutoff; its value is read when it is needed.
  struct Found {
    std::shared_ptr<const LayerFile> file;
    LayerVersion version;
  };

  [[nodiscard]] std::vector<bool> find_touched(const GcPlan& plan);
  void copy_key(MergeCursor& input, const EncodedKey& key, RunWriter& newer);
  void collect_key(const Key& key);
  void collect_page(const Key& key);
  void collect_value(const Key& key);
  void add_image(const Key& key, const Found& found);
  void add_image(const Key& key, Lsn lsn, EntryType type, std::string_view value);

  Env& env_;
  std::string directory_;
  SharedStore& shared_;
  Reader& reader_;
  PageRebuilder& rebuilder_;
  BlockCache& cache_;
  const CompactorOptions& options_;

  Lsn cutoff_ = kInvalidLsn;
  const OldMultixacts* old_multixacts_ = nullptr;
  std::optional<PageStates> states_;
  std::optional<CopiedKeys> copied_;
  RunWriter* images_ = nullptr;
  std::vector<Found> versions_;                     // of the key in work, newest first, down to its base
  std::optional<std::pair<Key, Found>> time_mark_;  // the newest one so far
};

}  // namespace strata
