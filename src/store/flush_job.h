// The flush job: an immutable memtable goes from the Writer to a Flusher, and comes back as a layer. In shared memory;
// README.md draws it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "store/key.h"
#include "store/lsn.h"

namespace strata {

// One word of state decides whose the memtable and the file are; everybody changes it from what he knows it to be.
class FlushJob {
 public:
  enum class State : std::uint32_t {
    kIdle = 0,       // no Flusher has to do with any memtable
    kRequested = 1,  // a memtable waits for a Flusher
    kTaken = 2,      // a Flusher reads it
    kCancelled = 3,  // a Flusher still reads it, but nobody waits for the layer
    kWritten = 4,    // the layer is durable, and the Writer's
    kFailed = 5,     // the Flusher could not do it, and has let go of the memtable
  };
  struct Request {
    int memtable = 0;
    LsnRange lsns;  // versions above are not to be flushed
  };
  // The layer, but for what follows from the request.
  struct Result {
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;
    std::uint64_t entries = 0;
    Key first_key, last_key;
  };

  [[nodiscard]] State state() const { return static_cast<State>(state_.load(std::memory_order_seq_cst)); }

  // The memtable that a Flusher reads and that must stay as it is; -1 when there is none.
  [[nodiscard]] int held_memtable() const {
    const State now = state();
    return now == State::kTaken || now == State::kCancelled ? request_.memtable : -1;
  }
  // The layer file that is a Flusher's, or that no manifest names yet; 0: there is none.
  [[nodiscard]] std::uint64_t file_number() const { return file_number_.load(std::memory_order_seq_cst); }
  [[nodiscard]] bool has_flusher() const { return flushers_.load(std::memory_order_seq_cst) != 0; }

  // The Writer's side. REQUIRES: kIdle.
  void request(const Request& request) {
    request_ = request;
    set(State::kRequested);
  }
  // False: a Flusher has taken it.
  bool withdraw() { return change(State::kRequested, State::kIdle); }
  // REQUIRES: kWritten. The file is the Writer's to name or to remove.
  [[nodiscard]] Result take_result() {
    const Result result = result_;
    file_number_.store(0, std::memory_order_seq_cst);
    set(State::kIdle);
    return result;
  }
  // REQUIRES: kFailed.
  void forget_failure() { set(State::kIdle); }
  // Of whatever an earlier Writer asked for, nothing comes any more. A file that was written is an orphan.
  void cancel() {
    while (!change(State::kRequested, State::kIdle) && !change(State::kTaken, State::kCancelled)) {
      const State now = state();
      if (now == State::kWritten) file_number_.store(0, std::memory_order_seq_cst);
      if (now == State::kWritten || now == State::kFailed) set(State::kIdle);
      if (now != State::kRequested && now != State::kTaken) return;
    }
  }

  // The Flusher's side.
  void attend(bool here) { flushers_.store(here ? 1 : 0, std::memory_order_seq_cst); }
  [[nodiscard]] std::optional<Request> take() {
    if (!change(State::kRequested, State::kTaken)) return std::nullopt;
    return request_;
  }
  [[nodiscard]] bool is_cancelled() const { return state() == State::kCancelled; }
  // Before the file is made.
  void announce(std::uint64_t number) { file_number_.store(number, std::memory_order_seq_cst); }
  // REQUIRES: the file is durable, and its name. False: it was cancelled; then release() has to follow.
  [[nodiscard]] bool complete(const Result& result) {
    result_ = result;
    return change(State::kTaken, State::kWritten);
  }
  // Lets go of the memtable: kFailed, or kRequested for another Flusher. REQUIRES: the file is gone.
  void release(State next) {
    file_number_.store(0, std::memory_order_seq_cst);
    if (!change(State::kTaken, next)) set(State::kIdle);
  }

 private:
  void set(State state) { state_.store(static_cast<std::uint32_t>(state), std::memory_order_seq_cst); }
  bool change(State from, State to) {
    auto expected = static_cast<std::uint32_t>(from);
    return state_.compare_exchange_strong(expected, static_cast<std::uint32_t>(to), std::memory_order_seq_cst);
  }

  std::atomic<std::uint32_t> state_{0};
  std::atomic<std::uint32_t> flushers_{0};
  std::atomic<std::uint64_t> file_number_{0};
  Request request_;
  Result result_;
};

}  // namespace strata
