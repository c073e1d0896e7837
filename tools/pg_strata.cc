// pg_strata: looks at the layer store of a server, stopped or running, and changes nothing.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <map>
#include <string>

#include "commands.h"
#include "describe.h"
#include "store/error.h"
#include "store/manifest.h"

namespace strata::tool {
namespace {

struct Arguments {
  std::string directory;
  bool quiet = false;
  DumpOptions dump;
  std::string kind, fork, relation, from, to;
};

[[noreturn]] void refuse(const std::string& what) { throw StoreError(ErrorKind::kInvalid, what); }

// A data directory's store will do as well.
std::string store_in(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::is_directory(directory, error)) refuse(fmt::format("\"{}\" is not a directory", directory));
  const std::string inside = directory + "/pg_strata";
  if (fs::exists(directory + "/" + std::string(kManifestName), error)) return directory;
  if (fs::exists(inside + "/" + std::string(kManifestName), error)) return inside;
  refuse(fmt::format("directory \"{}\" holds no store: it has no MANIFEST", directory));
}

std::uint32_t number(const std::string& text, const std::string& whole) {
  try {
    std::size_t used = 0;
    const unsigned long value = std::stoul(text, &used);
    if (used == text.size() && value <= 0xFFFFFFFF) return static_cast<std::uint32_t>(value);
  } catch (const std::exception&) {
    // Refused below.
  }
  refuse(fmt::format("\"{}\" is no relation: it has to be RELFILENUMBER or TABLESPACE/DATABASE/RELFILENUMBER", whole));
}

void parse_relation(const std::string& text, DumpOptions& options) {
  const std::size_t first = text.find('/');
  if (first == std::string::npos) {
    options.relation = number(text, text);
    return;
  }
  const std::size_t second = text.find('/', first + 1);
  if (second == std::string::npos) number("", text);
  options.tablespace = number(text.substr(0, first), text);
  options.database = number(text.substr(first + 1, second - first - 1), text);
  options.relation = number(text.substr(second + 1), text);
}

DumpOptions dump_options(const Arguments& arguments) {
  DumpOptions options = arguments.dump;
  if (!arguments.kind.empty()) {
    options.kind = parse_kind(arguments.kind);
    if (!options.kind) refuse(fmt::format("\"{}\" is no kind of key", arguments.kind));
  }
  if (!arguments.fork.empty()) {
    options.fork = parse_fork(arguments.fork);
    if (!options.fork) refuse(fmt::format("\"{}\" is no fork: main, fsm, vm or init", arguments.fork));
  }
  if (!arguments.relation.empty()) parse_relation(arguments.relation, options);
  const auto lsn = [](const std::string& text, Lsn none) {
    if (text.empty()) return none;
    const std::optional<Lsn> parsed = parse_lsn(text);
    if (!parsed) refuse(fmt::format("\"{}\" is no LSN", text));
    return *parsed;
  };
  options.from = lsn(arguments.from, options.from);
  options.to = lsn(arguments.to, options.to);
  return options;
}

int run(int argc, char** argv) {
  CLI::App app(
      "Looks at the layer store that holds the history of a PostgreSQL cluster, and changes nothing.\n"
      "DIR is $PGDATA/pg_strata or $PGDATA; the server may be stopped or running.\n"
      "Exit status: 0 sound, 1 damage was found, 2 it could not be done.");
  app.name("pg_strata");
  app.require_subcommand(1);
  app.set_version_flag("--version", "pg_strata 1.0");
  Arguments arguments;
  const auto command = [&](const char* name, const char* what) {
    CLI::App* sub = app.add_subcommand(name, what);
    sub->add_option("DIR", arguments.directory, "$PGDATA/pg_strata or $PGDATA")->required();
    return sub;
  };

  CLI::App* verify_command = command("verify", "checks every checksum and every invariant of every file");
  verify_command->add_flag("-q,--quiet", arguments.quiet, "names files with problems only");

  CLI::App* dump_command = command("dump", "prints versions, layer by layer, the newest first");
  dump_command->add_option("--layer", arguments.dump.layer, "of the layer with this file name");
  dump_command->add_option("--kind", arguments.kind, "of keys of a kind: page, commit-log, relation-map, ...");
  dump_command->add_option("--relation", arguments.relation,
                           "of a relation: RELFILENUMBER or TABLESPACE/DATABASE/RELFILENUMBER");
  dump_command->add_option("--fork", arguments.fork, "main, fsm, vm or init");
  dump_command->add_option("--block", arguments.dump.block, "of one block, commit-log page or multixact");
  dump_command->add_option("--from", arguments.from, "with this LSN or a later one");
  dump_command->add_option("--to", arguments.to, "with this LSN or an earlier one");
  using Values = DumpOptions::Values;
  const std::map<std::string, Values> values{{"none", Values::kNone}, {"text", Values::kText}, {"hex", Values::kHex}};
  dump_command->add_option("--values", arguments.dump.values, "none, text (what they say, the default) or hex")
      ->transform(CLI::CheckedTransformer(values))
      ->option_text("none|text|hex");

  CLI::App* stat_command = command("stat", "sums up levels, kinds of keys and types of entries");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kSound : kNotDone;
  }
  const std::string directory = store_in(arguments.directory);
  if (verify_command->parsed()) return verify(directory, arguments.quiet);
  if (dump_command->parsed()) return dump(directory, dump_options(arguments));
  if (stat_command->parsed()) return stat(directory);
  return kNotDone;
}

}  // namespace
}  // namespace strata::tool

int main(int argc, char** argv) {
  using namespace strata;
  try {
    return tool::run(argc, argv);
  } catch (const StoreError& error) {
    fmt::print(stderr, "pg_strata: error: {}\n", error.what());
    return error.kind() == ErrorKind::kCorrupt ? tool::kDamaged : tool::kNotDone;
  } catch (const std::exception& error) {
    fmt::print(stderr, "pg_strata: error: {}\n", error.what());
    return tool::kNotDone;
  }
}
