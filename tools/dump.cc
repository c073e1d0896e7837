#include <fmt/format.h>

#include "commands.h"
#include "describe.h"
#include "layers.h"

namespace strata::tool {

namespace {

bool matches(const DumpOptions& options, const Key& key, Lsn lsn) {
  const auto is = [](const auto& wanted, const auto& value) { return !wanted || *wanted == value; };
  return is(options.kind, key.kind) && is(options.tablespace, key.tablespace) && is(options.database, key.database) &&
         is(options.relation, key.relation) && is(options.fork, key.fork) && is(options.block, key.block) &&
         options.from <= lsn && lsn <= options.to;
}

std::string value_of(const DumpOptions& options, const LayerFile& file, const Key& key, const IndexEntry& entry) {
  switch (options.values) {
    case DumpOptions::Values::kNone:
      return "";
    case DumpOptions::Values::kText:
      return ": " + value_text(key, entry.type, file.value(entry));
    case DumpOptions::Values::kHex:
      return ": " + hex(file.value(entry));
  }
  return "";
}

void dump_layer(const LayerFile& file, const DumpOptions& options) {
  const LayerInfo& layer = file.layer().info;
  if (options.layer && *options.layer != layer.name) return;
  if (layer.lsns.end <= options.from || options.to < layer.lsns.begin) return;
  bool named = false;
  LayerCursor cursor(file);
  for (cursor.seek(encode_key(layer.first_key), kMaxLsn); cursor.valid(); cursor.next()) {
    const IndexEntry& entry = cursor.entry();
    const Key key = decode_key(entry.key);
    if (!matches(options, key, entry.lsn)) continue;
    if (!named) fmt::print("{}\n", layer.name);
    named = true;
    fmt::print("  {} at {}: {}{}, {} bytes{}\n", key_text(key), lsn_text(entry.lsn), type_text(entry.type),
               entry.base ? " (base)" : "", entry.value_bytes, value_of(options, file, key, entry));
  }
}

}  // namespace

int dump(const std::string& directory, const DumpOptions& options) {
  for_each_layer(directory, [&](const LayerFile& file) { dump_layer(file, options); });
  return kSound;
}

}  // namespace strata::tool
