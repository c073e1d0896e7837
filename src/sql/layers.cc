// strata.layers() and strata.levels(): the layer files of the store.
extern "C" {
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/pg_lsn.h"
#include "utils/tuplestore.h"
}

#include <cstddef>
#include <new>
#include <vector>

#include "pg/guard.h"
#include "pg/shared_state.h"
#include "pg/store_reader.h"
#include "sql/prerequisites.h"

namespace strata::sql {

namespace {

constexpr int kMaxLevel = 255;  // it has a byte in files

// A LayerInfo that an ERROR may pass over.
struct Row {
  char name[256];
  int level;
  bool image;
  LsnRange lsns;
  uint64 bytes;
  uint64 entries;
};

struct Rows {
  Row* first = nullptr;  // in the current memory context
  std::size_t count = 0;
};

Rows read_rows(Reader& reader) {
  Rows rows;
  pg::guarded([&reader, &rows] {
    const std::vector<LayerInfo> layers = reader.layers();
    rows.first = static_cast<Row*>(MemoryContextAllocExtended(CurrentMemoryContext, (layers.size() + 1) * sizeof(Row),
                                                              MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM));
    if (rows.first == nullptr) throw std::bad_alloc();
    for (const LayerInfo& layer : layers) {
      Row& row = rows.first[rows.count++];
      strlcpy(row.name, layer.name.c_str(), sizeof(row.name));
      row.level = layer.level;
      row.image = layer.image;
      row.lsns = layer.lsns;
      row.bytes = layer.bytes;
      row.entries = layer.entries;
    }
  });
  return rows;
}

}  // namespace

extern "C" {

PG_FUNCTION_INFO_V1(strata_layers);
Datum strata_layers(PG_FUNCTION_ARGS) {
  require_horizon();
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  const Rows rows = read_rows(pg::store_reader());
  for (std::size_t i = 0; i < rows.count; ++i) {
    const Row& row = rows.first[i];
    Datum values[7];
    bool nulls[7] = {};
    values[0] = CStringGetTextDatum(row.name);
    values[1] = Int32GetDatum(row.level);
    values[2] = BoolGetDatum(row.image);
    values[3] = LSNGetDatum(row.lsns.begin);
    values[4] = LSNGetDatum(row.lsns.end);
    values[5] = Int64GetDatum(static_cast<int64>(row.bytes));
    values[6] = Int64GetDatum(static_cast<int64>(row.entries));
    tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
  }
  return Datum{0};
}

PG_FUNCTION_INFO_V1(strata_levels);
Datum strata_levels(PG_FUNCTION_ARGS) {
  require_horizon();
  InitMaterializedSRF(fcinfo, 0);
  auto* result = reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo);
  const Rows rows = read_rows(pg::store_reader());
  for (const bool image : {false, true}) {
    for (int level = 0; level <= kMaxLevel; ++level) {
      int64 runs = 0;
      int64 layers = 0;
      int64 bytes = 0;
      int64 entries = 0;
      LsnRange last;
      // Newest range first, so that a run's layers follow each other.
      for (std::size_t i = 0; i < rows.count; ++i) {
        const Row& row = rows.first[i];
        if (row.image != image || row.level != level) continue;
        if (row.lsns != last) ++runs;
        last = row.lsns;
        ++layers;
        bytes += static_cast<int64>(row.bytes);
        entries += static_cast<int64>(row.entries);
      }
      if (layers == 0) continue;
      Datum values[6];
      bool nulls[6] = {};
      values[0] = Int32GetDatum(level);
      values[1] = BoolGetDatum(image);
      values[2] = Int64GetDatum(runs);
      values[3] = Int64GetDatum(layers);
      values[4] = Int64GetDatum(bytes);
      values[5] = Int64GetDatum(entries);
      tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
    }
  }
  return Datum{0};
}

}  // extern "C"

}  // namespace strata::sql
