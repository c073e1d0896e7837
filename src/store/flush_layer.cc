#include "store/flush_layer.h"

#include "store/no_postgres.h"

namespace strata {

Layer write_flush_layer(const FlushTarget& target, OutputFiles& files,
                        const std::function<void(LayerWriter&)>& add_all) {
  files.add(layer_name(target.number, false, kFlushedLevel, target.lsns));
  LayerWriter writer(target.env, target.directory, target.number, false, kFlushedLevel, target.lsns,
                     target.options.for_flush());
  add_all(writer);
  Layer layer = writer.finish();
  target.env.sync_directory(target.directory);
  return layer;
}

void add_versions(Memtable::Cursor begin, const Memtable::Cursor& end, Lsn above, WalValuesOnDemand& wal,
                  LayerWriter& layer) {
  std::string room;
  for (; begin.valid() && begin != end; begin.next()) {
    if (begin.lsn() < above) layer.add(wal.complete(begin.entry(), room), begin.sequence());
  }
}

}  // namespace strata
