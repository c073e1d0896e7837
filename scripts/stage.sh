#!/usr/bin/env bash
# Makes a complete PostgreSQL with strata out of PostgreSQL's own installation.
#
# usage: scripts/stage.sh POSTGRESQL DESTINATION FILE:TARGET...
#   POSTGRESQL   what scripts/postgres.sh printed; copied only where the copy is of another build
#   FILE:TARGET  FILE becomes DESTINATION/TARGET
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

postgresql=$1 destination=$2
shift 2
stamp=$destination/.copy-of
if [ "$(cat "$stamp" 2>/dev/null)" != "$postgresql" ] || [ "$postgresql/complete" -nt "$stamp" ]; then
  rm -rf "$destination"
  mkdir -p "$(dirname "$destination")"
  cp -R --preserve=mode,timestamps,links --reflink=auto "$postgresql/install" "$destination"
  echo "$postgresql" >"$stamp"
fi
for pair in "$@"; do
  file=${pair%%:*} target=$destination/${pair#*:}
  cmp -s "$file" "$target" && continue
  # Renamed into place: a running server keeps the file that it has mapped.
  mode=644
  [ ! -x "$file" ] || mode=755
  install -D -m "$mode" "$file" "$target.new"
  mv "$target.new" "$target"
done
