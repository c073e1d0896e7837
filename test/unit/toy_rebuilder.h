// A PageRebuilder for tests, whose results depend on every version and on their order.
#pragma once

#include <string>

#include "store/error.h"
#include "store/page_diff.h"
#include "store/page_rebuilder.h"
#include "store/store.h"

namespace strata::testing {

// Redo of a kind: a record says which byte to change, in a way that depends on what was there.
class ToyRebuilder : public PageRebuilder {
 public:
  void begin(const Key&) override { page_.assign(kPageBytes, '\0'); }
  void apply(const Version& version) override {
    if (version.base) page_.assign(kPageBytes, '\0');
    if (version.type == EntryType::kImage) {
      page_ = version.value;
      page_.resize(kPageBytes);
    } else if (version.type == EntryType::kPageDiff) {
      if (!apply_page_diff(version.value, page_)) throw StoreError(ErrorKind::kCorrupt, "bad diff");
    } else {
      if (version.value.view().starts_with("broken") || version.type == EntryType::kUnreconstructable)
        throw StoreError(ErrorKind::kCorrupt, "bad record");
      for (std::size_t i = 0; i < version.value.size(); i += 5) {
        const std::size_t at = (static_cast<unsigned char>(version.value[i]) * 37 + i * 11 + version.lsn) % kPageBytes;
        page_[at] = static_cast<char>(page_[at] * 3 + version.value[i] + 1);
      }
    }
  }
  [[nodiscard]] std::string_view page() const override { return page_; }

  std::string rebuild(const Key& key, const Chain& chain) {
    begin(key);
    for (const Version& version : chain) apply(version);
    return page_;
  }

 private:
  std::string page_;
};

}  // namespace strata::testing
