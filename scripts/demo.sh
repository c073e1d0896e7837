#!/usr/bin/env bash
# Plays the story of README.md on a new cluster under run/, and leaves the server running.
#
# usage: scripts/demo.sh start|stop
#
# The server listens on a socket only. Run again, it stops the server that it started before and begins anew.
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

bin=$root/build/install/bin
run=$root/run
data=$run/data
log=$run/server.log

stop() {
  [ -f "$data/postmaster.pid" ] || return 0
  need_server_user
  # A server that was killed leaves its pid file behind; then there is nothing to stop.
  as_server_user "$bin/pg_ctl" -D "$data" status >/dev/null 2>&1 || return 0
  as_server_user "$bin/pg_ctl" -D "$data" -m fast -s stop
}

session() { as_server_user "$bin/psql" -X -h "$sockets" -U postgres -d postgres -v ON_ERROR_STOP=1 "$@" 2>&1; }

# History begins when the baseline has been taken: from then on a session may travel to the present moment.
wait_for_history() {
  local seconds
  say "waiting for history to begin"
  for seconds in $(seq 120); do
    if session -q >"$run/wait.log" <<'SQL'
SELECT clock_timestamp() AS moment \gset
SET strata.travel_time = :'moment';
SELECT 1;
SQL
    then return 0; fi
    sleep 1
  done
  cat "$run/wait.log" >&2
  die "history has not begun after $seconds seconds; the server's log is $log"
}

# The story, in two sessions: the time to remember is read from what the first one showed.
play() {
  session -e <<'SQL' | tee "$run/before.out"
CREATE TABLE demo (id serial PRIMARY KEY, name text, amount numeric);
INSERT INTO demo (name, amount) VALUES ('Alice', 100.00);
SELECT now();
SQL
  that_time=$(sed -n 's/^ *\([0-9]\{4\}-.*[^ ]\) *$/\1/p' "$run/before.out")
  session -e -v "that_time=$that_time" <<'SQL'
ALTER TABLE demo ADD COLUMN email text;
INSERT INTO demo (name, amount, email) VALUES ('Bob', 200.00, 'bob@example.com');
DROP TABLE demo;
SET strata.travel_time = :'that_time';
SELECT * FROM demo;
RESET strata.travel_time;
\set ON_ERROR_STOP off
SELECT * FROM demo;
CREATE EXTENSION strata;
SELECT * FROM strata.undrop('demo');
SELECT * FROM demo;
SQL
}

start() {
  [ -x "$bin/postgres" ] || die "$bin/postgres is missing: run make first"
  need_server_user
  need_reachable "$root"
  stop
  rm -rf "$run"
  server_folder "$run"
  chmod 700 "$run"
  # The path of a socket has at most 107 bytes.
  sockets=$run
  if [ ${#sockets} -gt 85 ]; then
    sockets=$(mktemp -d /tmp/strata.XXXXXX)
    server_folder "$sockets"
  fi
  cd "$run"

  say "initdb"
  as_server_user "$bin/initdb" -D "$data" -U postgres -A trust >"$run/initdb.log" 2>&1 ||
    { cat "$run/initdb.log" >&2; die "initdb failed"; }
  printf '%s\n' "strata_enabled = on" "listen_addresses = ''" "unix_socket_directories = '$sockets'" |
    as_server_user tee -a "$data/postgresql.conf" >/dev/null
  say "pg_ctl start"
  as_server_user "$bin/pg_ctl" -D "$data" -l "$log" -s -w start || { cat "$log" >&2; die "the server did not start"; }
  wait_for_history
  echo
  play
  local as=
  [ "$(id -u)" != 0 ] || as="runuser -u $server_user -- "
  cat <<MESSAGE

The server is running; its log is $log
  connect:  $bin/psql -h $sockets -U postgres -d postgres
  travel:   SET strata.travel_time = '$that_time';
  stop:     make demo-stop    (or: $as$bin/pg_ctl -D $data stop)
MESSAGE
}

case ${1:-} in
  start) start ;;
  stop) stop ;;
  *) die "usage: scripts/demo.sh start|stop" ;;
esac
