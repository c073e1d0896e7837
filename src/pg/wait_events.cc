#include "pg/wait_events.h"

extern "C" {
#include "utils/wait_event.h"
}

#include <array>

namespace strata::pg {

namespace {

// In the order of the enumeration.
constexpr std::array kNames = {
    "StrataLayerRead",       "StrataLayerWrite",     "StrataLayerSync",          "StrataIngestProgress",
    "StrataCommitsUnderWay", "StrataFirstStart",     "StrataIngestWal",          "StrataIngestWalRetry",
    "StrataIngestRetry",     "StrataIngestFlush",    "StrataIngestStopped",      "StrataBaselinePace",
    "StrataBaselineRead",    "StrataCompactionIdle", "StrataCompactionHandover", "StrataCompactionRetry",
    "StrataFlushIdle",       "StrataGivingWay",      "StrataTravellerIdle",      "StrataTravellerFree",
};
static_assert(kNames.size() == static_cast<std::size_t>(Wait::kTravellerFree) + 1);

std::array<uint32, kNames.size()> events;

}  // namespace

uint32 wait_event(Wait wait) {
  const auto i = static_cast<std::size_t>(wait);
  if (events[i] == 0) events[i] = WaitEventExtensionNew(kNames[i]);
  return events[i];
}

}  // namespace strata::pg
