// The files of a merge until they are somebody else's.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "store/env.h"
#include "store/error.h"

namespace strata {

// Files that are removed again unless they are kept.
class OutputFiles {
 public:
  OutputFiles(Env& env, std::string directory) : env_(env), directory_(std::move(directory)) {}
  ~OutputFiles() {
    for (const std::string& name : names_) {
      try {
        env_.remove(directory_ + "/" + name);
      } catch (const StoreError&) {
        // The next search for orphans finds it.
      }
    }
  }
  OutputFiles(const OutputFiles&) = delete;
  OutputFiles& operator=(const OutputFiles&) = delete;
  void add(const std::string& name) { names_.push_back(name); }
  void keep() { names_.clear(); }

 private:
  Env& env_;
  std::string directory_;
  std::vector<std::string> names_;
};

}  // namespace strata
