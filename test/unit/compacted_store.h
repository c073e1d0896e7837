// What the tests of merging and of garbage collection have in common: a store with a compactor, in a file system that
// can fail.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "store/compactor.h"
#include "store_fault_env.h"
#include "store_testing.h"
#include "toy_rebuilder.h"

namespace strata::testing {

inline StoreOptions small_layers(std::uint64_t max_bytes) {
  return {.value_block_bytes = 4000,
          .index_block_bytes = 300,
          .inline_bytes = 64,
          .dictionary_bytes = 512,
          .sample_bytes = 8000,
          .dictionary_reach = 10000,
          .max_layer_bytes = max_bytes};
}

// A few records make long chains, and a few flushes several levels.
inline CompactorOptions small_compactor(const StoreOptions& store, std::uint64_t layer_bytes) {
  CompactorOptions options;
  options.store = store;
  options.bounds = {.records = 8, .bytes = 20000, .statuses = 8, .diff_bytes = 1000, .min_value_bytes = 200};
  options.flushed_fan_in = options.fan_in = 3;
  options.max_inputs = 5;
  options.layer_bytes = layer_bytes;
  options.memory_bytes = 200000;
  options.samples = 10;
  return options;
}

template <class Random>
std::string random_page(Random& random) {
  std::string bytes(kPageBytes, '\0');
  for (char& c : bytes) c = static_cast<char>(random());
  return bytes;
}

class CompactedStore : public ::testing::TestWithParam<unsigned> {
 protected:
  // Bytes of a layer, as the writer and as the compactor make them.
  CompactedStore(std::uint64_t flushed_bytes, std::uint64_t merged_bytes)
      : random_(GetParam()),
        options_(small_layers(flushed_bytes)),
        compactor_options_(small_compactor(options_, merged_bytes)) {}

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  std::string random_text(std::size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>('a' + below(20));
    return text;
  }

  void open() {
    writer_.reset();
    if (!Writer::store_exists(env_, "store"))
      Writer::create_store(env_, "store", {.system_identifier = 1, .timeline = 1});
    writer_ = std::make_unique<Writer>(env_, "store", region_->shared(), options_);
  }
  void open_compactor() {
    compactor_.reset();
    compactor_ = std::make_unique<Compactor>(env_, "store", region_->shared(), rebuilder_, compactor_options_);
  }

  // In four of so many steps: a flush, a new writer, a new compactor.
  void disturb(std::uint64_t steps) {
    switch (below(steps)) {
      case 0:
      case 1:
        writer_->flush();
        break;
      case 2:
        open();
        put_again(*writer_, region_->shared(), unflushed_, end_);
        break;
      case 3:
        open_compactor();
        break;
      default:
        break;
    }
  }

  using Files = std::map<std::string, std::string>;

  // The server ends, and the disk is taken out.
  Files shut_down() {
    writer_.reset();
    compactor_.reset();
    env_.restart();
    return env_.save();
  }
  // A server over such a disk.
  void start(const Files& files) {
    compactor_.reset();
    writer_.reset();
    env_.load(files);
    region_ = std::make_unique<Region>(std::size_t{1} << 18);
    open();
    open_compactor();
  }
  // The machine crashes. Of what was not synced, `keep` of each file's bytes have made it.
  void crash(double keep) {
    env_.restart(keep);
    compactor_.reset();
    writer_.reset();
    region_ = std::make_unique<Region>(std::size_t{1} << 18);
    open();
  }

  // Does `work` again and again on such a disk, with another one of its operations failing every time: `server_too`
  // as the last one before a crash. `check` comes after each.
  template <class Work, class Check>
  void fail_at_every_operation(const Files& files, Work&& work, Check&& check) {
    const auto succeeds = [&] {
      try {
        work();
        return true;
      } catch (const StoreError&) {
        return false;
      }
    };
    bool failed = true;
    for (std::uint64_t n = 0; failed; ++n) {
      for (const bool server_too : {true, false}) {
        SCOPED_TRACE("operation " + std::to_string(n) + (server_too ? ", a crash" : ", a fault"));
        start(files);
        const std::uint64_t operation = env_.operations() + n;
        if (server_too) {
          env_.crash_at(operation);
        } else {
          env_.fail_at(operation, ErrorKind::kNoSpace);
        }
        (void)succeeds();
        failed = env_.operations() > operation;
        if (server_too) {
          crash(n % 2 == 0 ? 0 : 0.5);
        } else {
          env_.fail_at(FaultEnv::kNever);
          for (int i = 0; i < 3; ++i) {
            ASSERT_TRUE(succeeds());
          }
        }
        ASSERT_NO_FATAL_FAILURE(check(server_too));
        std::set<std::string> found = files_in(env_, "store");
        // Whether this file is there means nothing to a writer that goes on.
        if (!server_too) found.erase("MERGE");
        ASSERT_EQ(found, files_of(*writer_));
      }
    }
  }

  std::mt19937_64 random_;
  StoreOptions options_;
  CompactorOptions compactor_options_;
  FaultEnv env_;
  std::unique_ptr<Region> region_ = std::make_unique<Region>(std::size_t{1} << 18);
  ToyRebuilder rebuilder_;
  std::unique_ptr<Writer> writer_;
  std::unique_ptr<Compactor> compactor_;
  std::vector<OwnedEntry> unflushed_;
  Lsn end_ = kInvalidLsn;
};

}  // namespace strata::testing
