// Files that come, go and shrink: relations, databases, relation maps.
#include "ingest/wal_decoder.h"

extern "C" {
#include "catalog/pg_tablespace_d.h"
#include "catalog/storage_xlog.h"
#include "commands/dbcommands_xlog.h"
#include "commands/tablespace.h"
#include "common/relpath.h"
#include "utils/relmapper.h"
}

#include "ingest/keys.h"
#include "ingest/visibility_map.h"

namespace strata::ingest {

void WalDecoder::decode_storage() {
  switch (info()) {
    case XLOG_SMGR_CREATE: {
      const auto* create = reinterpret_cast<const xl_smgr_create*>(data());
      if (create->forkNum == FSM_FORKNUM) return;
      const Key key = size_key(create->rlocator, create->forkNum);
      // The file was new, whatever had that name before: a transaction that ended with a crash leaves its files behind,
      // and one that was removed by hand is in no WAL.
      sizes_.set(key, 0);
      batch_.add_u32(key, 0);
      batch_.add_u32(truncation_key(create->rlocator, create->forkNum), 0);
      return;
    }
    case XLOG_SMGR_TRUNCATE: {
      const auto* truncate = reinterpret_cast<const xl_smgr_truncate*>(data());
      if ((truncate->flags & SMGR_TRUNCATE_HEAP) != 0) {
        const Key key = size_key(truncate->rlocator, MAIN_FORKNUM);
        const ForkSize size = sizes_.get(key);
        if (size && *size > truncate->blkno) {
          sizes_.set(key, truncate->blkno);
          batch_.add_u32(key, truncate->blkno);
          batch_.add_u32(truncation_key(truncate->rlocator, MAIN_FORKNUM), truncate->blkno);
        }
      }
      if ((truncate->flags & SMGR_TRUNCATE_VM) != 0) truncate_map(truncate->rlocator, truncate->blkno);
      return;
    }
    default:
      throw_unknown_record();
  }
}

void WalDecoder::truncate_map(const RelFileLocator& locator, BlockNumber heap_blocks) {
  const Key key = size_key(locator, VISIBILITYMAP_FORKNUM);
  const ForkSize size = sizes_.get(key);
  if (!size) return;
  BlockNumber blocks = map_block_of(heap_blocks);
  if (!starts_map_block(heap_blocks)) {
    // The last page survives, less the bits of the heap blocks that are gone.
    if (blocks >= *size) return;
    const std::span<std::byte> value = batch_.allocate(sizeof(heap_blocks));
    std::memcpy(value.data(), &heap_blocks, sizeof(heap_blocks));
    batch_.add(page_key(locator, VISIBILITYMAP_FORKNUM, blocks), EntryType::kVmTruncate, false, value);
    ++blocks;
  }
  if (*size <= blocks) return;
  sizes_.set(key, blocks);
  batch_.add_u32(key, blocks);
  batch_.add_u32(truncation_key(locator, VISIBILITYMAP_FORKNUM), blocks);
}

void WalDecoder::drop(const RelFileLocator& locator) {
  for (const ForkNumber fork : {MAIN_FORKNUM, VISIBILITYMAP_FORKNUM, INIT_FORKNUM}) {
    const Key key = size_key(locator, fork);
    if (!sizes_.get(key)) continue;
    sizes_.set(key, std::nullopt);
    batch_.add_absent(key);
    batch_.add_u32(truncation_key(locator, fork), 0);
  }
}

void WalDecoder::decode_database() {
  must_publish_ = true;
  switch (info()) {
    case XLOG_DBASE_CREATE_FILE_COPY: {
      const auto* copy = reinterpret_cast<const xl_dbase_create_file_copy_rec*>(data());
      const std::uint32_t source[] = {copy->src_tablespace_id, copy->src_db_id};
      const std::optional<Version> map =
          reader_.newest(relation_map_key(copy->src_tablespace_id, copy->src_db_id), published_);
      batch_.add_value(database_key(copy->tablespace_id, copy->db_id), source, sizeof(source));
      // The map lies in the database's own tablespace only; tables may lie in others, each of which is copied.
      if (map && !map->value.empty()) {
        batch_.add_value(relation_map_key(copy->tablespace_id, copy->db_id), map->value.data(), map->value.size());
      }
      replaced_databases_.push_back({copy->tablespace_id, copy->db_id});
      return;
    }
    case XLOG_DBASE_CREATE_WAL_LOG: {
      const auto* create = reinterpret_cast<const xl_dbase_create_wal_log_rec*>(data());
      batch_.add_absent(database_key(create->tablespace_id, create->db_id));
      replaced_databases_.push_back({create->tablespace_id, create->db_id});
      return;
    }
    case XLOG_DBASE_DROP: {
      const auto* drop = reinterpret_cast<const xl_dbase_drop_rec*>(data());
      for (int i = 0; i < drop->ntablespaces; ++i) {
        batch_.add_absent(database_key(drop->tablespace_ids[i], drop->db_id));
        replaced_databases_.push_back({drop->tablespace_ids[i], drop->db_id});
      }
      return;
    }
    default:
      throw_unknown_record();
  }
}

void WalDecoder::decode_tablespace() {
  switch (info()) {
    case XLOG_TBLSPC_CREATE: {
      const auto* create = reinterpret_cast<const xl_tblspc_create_rec*>(data());
      // One without a path lies inside the data directory.
      const std::string path =
          create->ts_path[0] != '\0' ? create->ts_path : PG_TBLSPC_DIR "/" + std::to_string(create->ts_id);
      batch_.add_value(tablespace_key(create->ts_id), path.data(), path.size());
      return;
    }
    case XLOG_TBLSPC_DROP:
      // pg_tablespace's pages say which tablespaces there are.
      return;
    default:
      throw_unknown_record();
  }
}

void WalDecoder::decode_relation_map() {
  if (info() != XLOG_RELMAP_UPDATE) throw_unknown_record();
  const auto* update = reinterpret_cast<const xl_relmap_update*>(data());
  // A database that is copied later takes the map from the store.
  must_publish_ = true;
  batch_.add_value(relation_map_key(update->tsid, update->dbid), update->data,
                   static_cast<std::size_t>(update->nbytes));
}

}  // namespace strata::ingest
