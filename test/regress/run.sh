#!/usr/bin/env bash
# Runs one of PostgreSQL's own suites against the server with the seams.
#
# usage: test/regress/run.sh regress|isolation on|off POSTGRESQL INSTALL OUT
#   on|off      the value of strata_enabled
#   POSTGRESQL  what scripts/postgres.sh printed: the suite's files and the libraries that it loads
#   INSTALL     the installation to test
#   OUT         a folder that the server user may write; what was there is deleted
#
# test/regress/SUITE.conf, where it exists, holds further settings for strata on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/../../scripts/lib.sh"

[ $# = 5 ] || die "usage: test/regress/run.sh regress|isolation on|off POSTGRESQL INSTALL OUT"
suite=$1 enabled=$2 postgresql=$3 install=$4 out=$5
inputs=$postgresql/source/src/test/$suite
programs=$install/lib/pgxs/src/test
case $suite in
  regress) program=$programs/regress/pg_regress schedule=$inputs/parallel_schedule ;;
  isolation) program=$programs/isolation/pg_isolation_regress schedule=$inputs/isolation_schedule ;;
  *) die "unknown suite '$suite': it is regress or isolation" ;;
esac

need_server_user
rm -rf "$out"
server_folder "$out"
# The folders where a suite that runs in its own build tree leaves its files.
for folder in sql expected results testtablespace; do server_folder "$out/$folder"; done
{
  echo "strata_enabled = $enabled"
  if [ "$enabled" = on ] && [ -f "$here/$suite.conf" ]; then cat "$here/$suite.conf"; fi
} >"$out/temp.conf"

cd "$out"
as_server_user env -u PGUSER -u PGDATABASE PATH="$install/bin:$PATH" \
  timeout "${SUITE_SECONDS:-900}" "$program" --temp-instance="$out/instance" --temp-config="$out/temp.conf" --bindir="$install/bin" \
  --inputdir="$inputs" --expecteddir="$inputs" --outputdir="$out" --dlpath="$postgresql/build/src/test/regress" \
  --no-locale --max-concurrent-tests=20 --schedule="$schedule" || {
  status=$?
  [ ! -f "$out/regression.diffs" ] || head -n 200 "$out/regression.diffs"
  exit "$status"
}

# A suite shows nothing of the past: history must have begun, and nothing in the suite's WAL may have held it up.
if [ "$enabled" = on ]; then
  log=$out/log/postmaster.log
  grep -q 'strata: baseline complete' "$log" || die "history did not begin during the suite; see $log"
  if grep -E 'strata [a-z]+\[[0-9]+\] +(WARNING|ERROR|FATAL|PANIC)' "$log"; then
    die "history was held up during the suite; see $log"
  fi
fi
