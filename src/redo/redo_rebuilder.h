// The pages that compaction asks for, rebuilt with PostgreSQL's redo.
#pragma once

extern "C" {
#include "postgres.h"
}

#include "redo/guarded_page.h"
#include "store/page_rebuilder.h"

namespace strata::redo {

// An error of a page is StoreError, everything else that PostgreSQL raises is PgError. For a process that has a memory
// context and a resource owner.
class RedoRebuilder final : public PageRebuilder {
 public:
  void begin(const Key& key) override;
  void apply(const Version& version) override;
  [[nodiscard]] std::string_view page() const override { return {bytes_, BLCKSZ}; }

 private:
  Key key_;
  GuardedPage page_;
  char* bytes_ = nullptr;  // of page_, from the first begin() on
};

}  // namespace strata::redo
