#include "store/wal_values.h"

#include "store/env.h"
#include "store/error.h"
#include "store/no_postgres.h"

namespace strata {

void WalValuesOnDemand::read(std::span<const std::byte> reference, std::string& value) {
  if (values_ == nullptr) values_ = env_.wal_values();
  if (values_ == nullptr) throw StoreError(ErrorKind::kInvalid, "a value stands in WAL, and there is no WAL here");
  values_->read(reference, value);
}

Entry WalValuesOnDemand::complete(Entry entry, std::string& room) {
  if (!entry.in_wal) return entry;
  read(entry.value, room);
  entry.value = std::as_bytes(std::span(room));
  entry.in_wal = false;
  return entry;
}

}  // namespace strata
