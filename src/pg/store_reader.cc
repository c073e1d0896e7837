#include "pg/store_reader.h"

extern "C" {
#include "postgres.h"

#include "storage/ipc.h"
}

#include <memory>

#include "pg/guard.h"
#include "pg/pg_env.h"
#include "pg/shared_state.h"

namespace strata::pg {

namespace {

// Decoded blocks that a travelling session keeps: hundreds of sessions may travel.
constexpr std::size_t kReaderCacheBytes = std::size_t{16} << 20;
std::unique_ptr<Reader> reader;

// While file descriptors and shared memory still work: a reader holds a slot there.
void close_reader(int, Datum) { reader.reset(); }

}  // namespace

Reader& store_reader() {
  static bool registered = false;
  if (!registered) {
    before_shmem_exit(close_reader, 0);
    registered = true;
  }
  if (reader == nullptr) {
    guarded([] {
      reader = std::make_unique<Reader>(pg_env(), kStoreDirectory, shared_store,
                                        ReaderOptions{.cache_bytes = kReaderCacheBytes});
    });
  }
  return *reader;
}

}  // namespace strata::pg
