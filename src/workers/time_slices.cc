#include "workers/time_slices.h"

extern "C" {
#include "postgres.h"

#include "access/xlog.h"
}

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>

#include "pg/shared_state.h"
#include "workers/priority.h"
#include "workers/process.h"

namespace strata::workers {
namespace {

// Shorter time slices cost more than they take: both sides find their caches cold. Longer ones are felt by the slowest
// hundredth.
constexpr std::int64_t kTimeSliceUs = 600;

constexpr double kMaxWalBehind = 32 << 20;       // bytes
constexpr std::int64_t kShortWaitUs = 50;        // who waits no longer than this competes with nobody
constexpr std::int64_t kContentionUs = 100'000;  // so long after a longer wait others want processors

std::int64_t now_us() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

// How long this process was ready to run, but did not: the second number of its schedstat, in nanoseconds. Nothing
// where the kernel does not tell.
std::optional<std::int64_t> waited_for_processor_us() {
  static const int file = open("/proc/self/schedstat", O_RDONLY | O_CLOEXEC);
  std::array<char, 80> text{};
  const ssize_t size = file < 0 ? -1 : pread(file, text.data(), text.size(), 0);
  if (size <= 0) return std::nullopt;
  const char* end = text.data() + size;
  std::int64_t ran = 0;
  std::int64_t waited = 0;
  const auto [next, error] = std::from_chars(text.data(), end, ran);
  if (error != std::errc() || next == end) return std::nullopt;
  if (std::from_chars(next + 1, end, waited).ec != std::errc()) return std::nullopt;
  return waited / 1000;
}

}  // namespace

// Whoever had to wait for a processor lately competes with somebody.
bool TimeSlices::others_want_processors() {
  const std::optional<std::int64_t> waited = waited_for_processor_us();
  if (!waited) return true;
  const std::int64_t now = now_us();
  if (*waited > waited_us_ + kShortWaitUs) contended_until_us_ = now + kContentionUs;
  waited_us_ = *waited;
  return now < contended_until_us_;
}

bool TimeSlices::is_over() const { return now_us() - began_us_ >= kTimeSliceUs; }

void TimeSlices::step() {
  if (!is_over()) return;
  const auto sleep_ms = static_cast<long>(max_sleep_ms_ * (1 - lateness_()));
  if (sleep_ms > 0 && others_want_processors()) {
    lower_priority();
    sleep_for(sleep_ms, pg::Wait::kGivingWay);
  }
  began_us_ = now_us();
}

double lateness_of_history() {
  if (pg_atomic_read_u64(&pg::shared_state->awaited_lsn) != kMaxLsn) return 1;
  const Lsn end = GetFlushRecPtr(nullptr);
  const Lsn seen = pg::shared_store->visible_lsn();
  return end <= seen ? 0 : static_cast<double>(end - seen) / kMaxWalBehind;
}

}  // namespace strata::workers
