#!/usr/bin/env bash
# usage: scripts/lint.sh [--fix]
#
# Checks formatting of all C and C++ files, the syntax of the scripts, and src/store with clang-tidy.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$root"

mapfile -t sources < <(find seams src test fuzz bench tools -type f '(' -name '*.h' -o -name '*.c' -o -name '*.cc' ')' | LC_ALL=C sort)
if [ "${1:-}" = --fix ]; then
  clang-format -i "${sources[@]}"
  exit
fi

say "clang-format: ${#sources[@]} files"
clang-format --dry-run -Werror "${sources[@]}"

say "bash -n"
for script in .ci/run scripts/*.sh test/regress/*.sh; do bash -n "$script"; done

say "clang-tidy: src/store"
printf '%s\0' src/store/*.cc | xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build --quiet
