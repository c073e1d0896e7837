#include "workers/cluster_files.h"

extern "C" {
#include "access/slru.h"
#include "catalog/pg_tablespace_d.h"
#include "storage/reinit.h"
}

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <optional>
#include <set>
#include <system_error>
#include <tuple>

#include "store/error.h"
#include "workers/process.h"

namespace strata::workers {
namespace {

constexpr const char* kRelationMapName = "pg_filenode.map";

[[noreturn]] void throw_io(const std::string& what, const std::string& path, int error) {
  throw StoreError(ErrorKind::kIo, what + " \"" + path + "\": " + std::generic_category().message(error));
}

std::vector<std::string> names_in(const std::string& directory) {
  struct Close {
    void operator()(DIR* open) const { ::closedir(open); }
  };
  const std::unique_ptr<DIR, Close> open(::opendir(directory.c_str()));
  if (!open) {
    if (errno == ENOENT) return {};
    throw_io("could not open directory", directory, errno);
  }
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const struct dirent* item = ::readdir(open.get());
    if (item == nullptr) {
      if (errno != 0) throw_io("could not read directory", directory, errno);
      return names;
    }
    names.emplace_back(item->d_name);
  }
}

// The size of a file; none when there is no such file.
std::optional<std::uint64_t> size_of(const std::string& path) {
  struct stat status;
  if (::stat(path.c_str(), &status) == 0) return static_cast<std::uint64_t>(status.st_size);
  if (errno == ENOENT) return std::nullopt;
  throw_io("could not stat file", path, errno);
}

std::optional<Oid> parse_oid(const std::string& name) {
  if (name.empty() || name.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  errno = 0;
  const unsigned long value = std::strtoul(name.c_str(), nullptr, 10);
  if (errno != 0 || value == 0 || value > PG_UINT32_MAX) return std::nullopt;
  return static_cast<Oid>(value);
}

void list_database(const std::string& directory, Oid tablespace, Oid database, ClusterFiles& files) {
  handle_interrupts();
  std::vector<RelationFile> found;
  std::set<RelFileNumber> unlogged;
  for (const std::string& name : names_in(directory)) {
    std::string path = directory + "/" + name;
    if (name == kRelationMapName) {
      files.relation_maps.push_back({.tablespace = tablespace, .database = database, .path = std::move(path)});
      continue;
    }
    RelFileNumber relation = InvalidRelFileNumber;
    ForkNumber fork = InvalidForkNumber;
    unsigned segment = 0;
    if (!parse_filename_for_nontemp_relation(name.c_str(), &relation, &fork, &segment)) continue;
    if (fork == FSM_FORKNUM) continue;
    if (fork == INIT_FORKNUM) unlogged.insert(relation);
    found.push_back({.locator = {.spcOid = tablespace, .dbOid = database, .relNumber = relation},
                     .fork = fork,
                     .segment = segment,
                     .bytes = 0,
                     .path = std::move(path)});
  }
  for (RelationFile& file : found) {
    // WAL holds nothing of an unlogged relation but its init fork.
    if (file.fork != INIT_FORKNUM && unlogged.contains(file.locator.relNumber)) continue;
    const std::optional<std::uint64_t> bytes = size_of(file.path);
    if (!bytes) continue;
    file.bytes = *bytes;
    files.relations.push_back(std::move(file));
  }
}

void list_tablespace(const std::string& directory, Oid tablespace, ClusterFiles& files) {
  for (const std::string& name : names_in(directory)) {
    if (const std::optional<Oid> database = parse_oid(name)) {
      list_database(directory + "/" + name, tablespace, *database, files);
    }
  }
}

// Where a tablespace lies: a symbolic link's target, or the folder itself.
std::string place_of(const std::string& link) {
  char target[MAXPGPATH];
  const ssize_t length = ::readlink(link.c_str(), target, sizeof(target));
  if (length >= 0) return {target, static_cast<std::size_t>(length)};
  if (errno == EINVAL || errno == ENOENT) return link;
  throw_io("could not read symbolic link", link, errno);
}

void list_commit_log(ClusterFiles& files) {
  for (const std::string& name : names_in("pg_xact")) {
    if (name.size() < 4 || name.find_first_not_of("0123456789ABCDEF") != std::string::npos) continue;
    const unsigned long segment = std::strtoul(name.c_str(), nullptr, 16);
    files.commit_log.push_back(
        {.first_page = static_cast<std::uint32_t>(segment * SLRU_PAGES_PER_SEGMENT), .path = "pg_xact/" + name});
  }
}

auto order_of(const RelationFile& file) {
  return std::make_tuple(file.locator.spcOid, file.locator.dbOid, file.locator.relNumber, file.fork, file.segment);
}

}  // namespace

ClusterFiles list_cluster_files() {
  ClusterFiles files;
  list_database("global", GLOBALTABLESPACE_OID, InvalidOid, files);
  list_tablespace("base", DEFAULTTABLESPACE_OID, files);
  for (const std::string& name : names_in(PG_TBLSPC_DIR)) {
    if (const std::optional<Oid> tablespace = parse_oid(name)) {
      const std::string link = std::string(PG_TBLSPC_DIR) + "/" + name;
      files.tablespaces.push_back({.tablespace = *tablespace, .path = place_of(link)});
      list_tablespace(link + "/" + TABLESPACE_VERSION_DIRECTORY, *tablespace, files);
    }
  }
  list_commit_log(files);

  std::sort(files.relations.begin(), files.relations.end(),
            [](const RelationFile& a, const RelationFile& b) { return order_of(a) < order_of(b); });
  std::sort(files.relation_maps.begin(), files.relation_maps.end(), [](const auto& a, const auto& b) {
    return std::tie(a.tablespace, a.database) < std::tie(b.tablespace, b.database);
  });
  std::sort(files.tablespaces.begin(), files.tablespaces.end(),
            [](const auto& a, const auto& b) { return a.tablespace < b.tablespace; });
  std::sort(files.commit_log.begin(), files.commit_log.end(),
            [](const auto& a, const auto& b) { return a.first_page < b.first_page; });
  return files;
}

}  // namespace strata::workers
