// The files of a cluster's data directory that hold state which WAL changes.
#pragma once

extern "C" {
#include "postgres.h"

#include "common/relpath.h"
#include "storage/relfilelocator.h"
}

#include <cstdint>
#include <string>
#include <vector>

namespace strata::workers {

// One segment of a relation's fork.
struct RelationFile {
  RelFileLocator locator;
  ForkNumber fork;
  std::uint32_t segment;
  std::uint64_t bytes;  // when it was listed
  std::string path;
};

struct RelationMapFile {
  Oid tablespace;
  Oid database;
  std::string path;
};

struct CommitLogFile {
  std::uint32_t first_page;
  std::string path;
};

struct TablespacePlace {
  Oid tablespace;
  std::string path;  // as pg_tablespace_location() shows it
};

// What the baseline copies, each in ascending order of its keys.
struct ClusterFiles {
  std::vector<RelationFile> relations;  // main, visibility-map and init forks whose pages are in WAL
  std::vector<RelationMapFile> relation_maps;
  std::vector<CommitLogFile> commit_log;
  std::vector<TablespacePlace> tablespaces;
};

// Throws StoreError. A directory that vanishes meanwhile counts as empty. Paths are relative to the data directory.
ClusterFiles list_cluster_files();

}  // namespace strata::workers
