// Memory for a page that redo may overrun: what reaches beyond it faults, and changes nothing else.
#pragma once

extern "C" {
#include "postgres.h"
}

namespace strata::redo {

// On either side of a page, out of reach of all that redo routines compute from fields of 16 bits: an offset and a
// length (128 KiB), an item's number (256 KiB).
inline constexpr Size kGuardBytes = Size{512} * 1024;

// `bytes` of zeroes between two guards that nobody may read or write, kept until the process ends. A multiple of the
// operating system's page. Raises an ERROR when there is no memory.
char* map_guarded(Size bytes);

// BLCKSZ bytes, mapped at first use.
class GuardedPage {
 public:
  char* data() {
    if (data_ == nullptr) data_ = map_guarded(BLCKSZ);
    return data_;
  }

 private:
  char* data_ = nullptr;
};

}  // namespace strata::redo
