// How a worker leaves the processors to sessions.
#pragma once

namespace strata::workers {

// About a tenth of a processor that sessions want as well.
inline constexpr int kGivingWay = 10;
// What sessions leave over, and next to nothing else.
inline constexpr int kLeftover = 19;

// Gives way to all other processes: `niceness` is 10 (kGivingWay) to 19, and may be changed at any time. On kernels
// that schedule sessions of processes before processes (autogroups), it is that of this process's session; elsewhere it
// stays at kGivingWay, because a process may not take back what it gave. Where neither works, that is logged once.
void give_way(int niceness);

}  // namespace strata::workers
