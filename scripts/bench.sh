#!/usr/bin/env bash
# What strata costs the present: pgbench on PostgreSQL as it is, with strata off, and with strata on, in turns.
# Then the store's own benchmarks, where there are any.
#
# Environment: SECONDS_EACH (20), SCALE (20), CLIENTS (4), ROUNDS (3)
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

postgresql=$(postgres_of release)
strata=$root/build/install
out=$root/build/bench
need_server_user
rm -rf "$out"
server_folder "$out"
need_reachable "$out"
cd "$out"

# measure NAME INSTALL SETTING...: one cluster, one read-only and one read-write run; prints the two rates.
measure() {
  local name=$1 bin=$2/bin data=$out/data mode setting
  shift 2
  rm -rf "$data"
  as_server_user "$bin/initdb" -D "$data" -U postgres -A trust >"$out/initdb.log"
  for setting in "listen_addresses = ''" "unix_socket_directories = '$out'" "shared_buffers = 1GB" "$@"; do
    echo "$setting" | as_server_user tee -a "$data/postgresql.conf" >/dev/null
  done
  as_server_user "$bin/pg_ctl" -D "$data" -l "$out/$name.log" -s -w start
  as_server_user "$bin/pgbench" -h "$out" -U postgres -i -q -s "${SCALE:-20}" postgres >"$out/init.log" 2>&1
  printf '%-14s' "$name"
  for mode in -S -N; do
    printf ' %12s' "$(as_server_user "$bin/pgbench" -h "$out" -U postgres -n "$mode" -c "${CLIENTS:-4}" -j 2 \
      -M prepared -T "${SECONDS_EACH:-20}" postgres 2>&1 | awk '/^tps/ { print int($3) }')"
  done
  printf '\n'
  as_server_user "$bin/pg_ctl" -D "$data" -m fast -s stop
}

printf '%-14s %12s %12s   transactions a second\n' "" "pgbench -S" "pgbench -N"
for ((round = 1; round <= ${ROUNDS:-3}; round++)); do
  measure postgresql "$postgresql/install"
  measure strata-off "$strata"
  measure strata-on "$strata" "strata_enabled = on"
done

if compgen -G "$root/bench/*.cc" >/dev/null; then
  cmake --build "$root/build" --target strata_bench
  "$root/build/strata_bench"
fi
