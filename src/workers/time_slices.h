// How a worker that shares the processors with sessions keeps out of their way while it works.
#pragma once

#include <cstdint>

namespace strata::workers {

// Work in time slices of 0.6 milliseconds with sleeps between, for as long as others want the processors, too. A kernel
// lets whoever runs go on for a whole tick, whatever his priority: a session then waits for a time slice, not for a
// tick.
class TimeSlices {
 public:
  // With which a worker gets a sixteenth of a processor: twice what ingest needs beside pgbench on two cores.
  static constexpr double kSleepMs = 9;

  // `lateness`: 0 is in time, 1 and more ends all sleeps; in between they are shorter than `max_sleep_ms`.
  explicit TimeSlices(double (*lateness)(), double max_sleep_ms = kSleepMs)
      : lateness_(lateness), max_sleep_ms_(max_sleep_ms) {}

  // The time slice in work has lasted long enough. Costs a look at the clock.
  [[nodiscard]] bool is_over() const;
  // Sleeps and begins a new time slice, if this one is over. Call it often. Ends and throws as sleep_for() does.
  void step();

 private:
  bool others_want_processors();

  double (*lateness_)();
  double max_sleep_ms_;
  std::int64_t began_us_ = 0;
  std::int64_t waited_us_ = 0;  // for a processor, all in all
  std::int64_t contended_until_us_ = 0;
};

// Of what makes history out of WAL: by how much of it is missing, and whether a session waits for it.
[[nodiscard]] double lateness_of_history();

}  // namespace strata::workers
