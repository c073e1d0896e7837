#include "travellers/settings.h"

extern "C" {
#include "seams_includes.h"

#include "utils/guc.h"

#include "seams.h"
}

namespace strata::travellers {

namespace {

constexpr int kDefaultTravellers = 8;
constexpr int kMostTravellers = 1024;
int idle_time = 60 * 1000;

}  // namespace

int max_travellers() { return strata_reserved_workers; }

int idle_time_ms() { return idle_time; }

void define_settings() {
  DefineCustomIntVariable("strata.max_travellers", "How many travellers the server may have at once.",
                          "Their places for processes come beside \"max_worker_processes\".", &strata_reserved_workers,
                          kDefaultTravellers, 0, kMostTravellers, PGC_POSTMASTER, 0, nullptr, nullptr, nullptr);
  DefineCustomIntVariable("strata.traveller_idle_time", "How long a traveller waits for the next call of its session.",
                          "0: it ends with the call.", &idle_time, idle_time, 0, 24 * 3600 * 1000, PGC_SIGHUP,
                          GUC_UNIT_MS, nullptr, nullptr, nullptr);
}

}  // namespace strata::travellers
