#include "store/long_chains.h"

#include "store/incarnations.h"
#include "store/no_postgres.h"

namespace strata {

bool shorten_long_chain(KeyKind kind, Writer& writer, Reader& reader, PageRebuilder& rebuilder) {
  const std::optional<Key> key = writer.take_long_chain(kind);
  if (!key) return false;
  try {
    Incarnations incarnations(reader, kMaxLsn);
    const Lsn floor = kind == KeyKind::kPage ? incarnations.floor_at(*key, kMaxLsn) : kInvalidLsn;
    const Chain chain = reader.chain(*key, kMaxLsn, floor);
    // What it begins with may be in the database that its database was copied from.
    if (chain.empty() || !chain.front().base) return true;
    rebuilder.begin(*key);
    for (const Version& version : chain) rebuilder.apply(version);
    writer.put_image(*key, chain.back().lsn, rebuilder.page());
  } catch (const StoreError& error) {
    if (error.kind() != ErrorKind::kCorrupt) throw;
  }
  return true;
}

}  // namespace strata
