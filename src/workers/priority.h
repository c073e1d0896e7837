// How a worker leaves the processors to sessions.
#pragma once

namespace strata::workers {

// Gives this process niceness 10, about a tenth of a processor that sessions want as well, and a long slice, which who
// wakes with a shorter one interrupts. The niceness goes to its session, too, which is what counts on kernels that
// schedule sessions of processes before processes (autogroups). Where the first does not work, that is logged. The
// kernel may refuse the second for a while: call it again, which costs nothing when all is done.
void lower_priority();

}  // namespace strata::workers
