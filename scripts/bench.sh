#!/usr/bin/env bash
# Measures strata against what a user would use instead; bench/README.md describes every row.
#
# usage: scripts/bench.sh [present|size|lookup|scan|rebuild|ingest|mariadb]...
#        scripts/bench.sh compare INSTALL
#
# Environment: BENCH_QUICK=1 for a run of about 3 minutes that proves nothing but that the benchmarks work;
# BENCH_ROUNDS, BENCH_SCALE and the like set single sizes (bench/settings.py).
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

"$root/scripts/deps.sh" bench
out=${BENCH_OUT:-$root/build/bench}
need_server_user
rm -rf "$out/work" "$out/log"
server_folder "$out"
need_reachable "$out"
server_folder "$out/work"
server_folder "$out/log"

cd "$root"
# Debian's own: another python3 in PATH does not have the drivers.
STRATA_POSTGRESQL=$(postgres_of release) PYTHONDONTWRITEBYTECODE=1 exec /usr/bin/python3 -m bench "$@"
