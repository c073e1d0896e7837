// The store's I/O over PostgreSQL's virtual file descriptors, which keep each process within its limit of open files.
#pragma once

#include "store/env.h"

namespace strata::pg {

Env& pg_env();  // one object for the process

}  // namespace strata::pg
