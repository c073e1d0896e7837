# shellcheck shell=bash
# Helpers that the scripts share; sourced, never run. The scripts have set -euo pipefail.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() { printf '>> %s\n' "$*" >&2; }

die() {
  printf 'strata: %s\n' "$*" >&2
  exit 1
}

# The cache outside the checkout. As root it lies where an unprivileged server user can read it too.
strata_cache() {
  if [ -n "${STRATA_CACHE:-}" ]; then
    echo "$STRATA_CACHE"
  elif [ "$(id -u)" = 0 ]; then
    echo /var/cache/pgstrata
  else
    echo "${XDG_CACHE_HOME:-$HOME/.cache}/pgstrata"
  fi
}

# Runs make for PostgreSQL's makefiles, which must not see the variables, jobs and depth of a make that called us: only the
# outermost make generates the headers that all of PostgreSQL needs.
postgres_make() { env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES make "$@"; }

# Runs a command with its output in a log file, and shows one dot for every hundred lines of it.
progress_of() {
  local log=$1 status=0
  shift
  "$@" 2>&1 | tee -a "$log" | awk 'NR % 100 == 0 { printf "."; fflush() } END { print "" }' >&2 || status=$?
  if [ "$status" != 0 ]; then
    tail -n 30 "$log" >&2
    die "'$*' failed with status $status; the log is $log"
  fi
}

# A server refuses to run as root: then it runs as this user.
server_user=strata

# Creates the server user where one is needed. Call once before as_server_user.
need_server_user() {
  [ "$(id -u)" = 0 ] || return 0
  id "$server_user" >/dev/null 2>&1 ||
    useradd --system --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$server_user"
}

# Runs a command as the user that servers run as. The environment goes along, but for HOME, which is not that user's.
as_server_user() {
  if [ "$(id -u)" = 0 ]; then
    runuser -u "$server_user" -- env HOME=/nonexistent USER="$server_user" LOGNAME="$server_user" "$@"
  else
    "$@"
  fi
}

# Creates a folder that belongs to the server user.
server_folder() {
  mkdir -p "$1"
  [ "$(id -u)" != 0 ] || chown "$server_user:" "$1"
}

# Fails, with what to do, where the server user cannot reach a folder.
need_reachable() {
  local folder=$1 blocking=
  as_server_user test -r "$folder/." -a -x "$folder/." && return 0
  while [ "$folder" != / ]; do
    as_server_user test -x "$folder/." || blocking=$folder
    folder=$(dirname "$folder")
  done
  die "the user '$server_user', as which the server runs, cannot enter $blocking
  either let others pass through it (chmod o+x '$blocking') or move the checkout, below /srv or /var/tmp for example"
}

# Where scripts/postgres.sh has built a flavour. Builds it where that has not been done yet.
postgres_of() { "$root/scripts/postgres.sh" "$1" | tail -n 1; }
