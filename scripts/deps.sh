#!/usr/bin/env bash
# Installs the Debian packages that are missing. Asks first, unless CI=true or run as root.
#
# usage: scripts/deps.sh [bench|poolers]    with those that only the benchmarks, or the test of PgBouncer, need
set -euo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

packages=(
  # the build
  cmake ninja-build g++ make pkg-config binutils util-linux
  libxxhash-dev libzstd-dev
  # the command line
  libcli11-dev libfmt-dev
  # PostgreSQL's source and its build
  ca-certificates debian-archive-keyring bzip2 xz-utils bison flex perl
  libicu-dev liblz4-dev libreadline-dev libssl-dev liburing-dev libxml2-dev uuid-dev zlib1g-dev
  # tests, benchmarks, lint
  libipc-run-perl libgtest-dev clang libclang-rt-14-dev clang-format clang-tidy
)
# The server of mariadb-server, without the package that would start it as a service of the machine.
[ "${1:-}" != bench ] || packages+=(python3 python3-psycopg2 python3-mysqldb mariadb-server-core mariadb-client zstd)

# Starts as a service of the machine, where that has an init.
[ "${1:-}" != poolers ] || packages+=(pgbouncer)

missing=()
for package in "${packages[@]}"; do
  # Not every status but "installed" is one: a removed package keeps its configuration files.
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ ${#missing[@]} != 0 ] || exit 0

say "missing packages: ${missing[*]}"
sudo=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || die "sudo is missing: run as root: apt-get install ${missing[*]}"
  sudo=(sudo)
  if [ "${CI:-}" != true ]; then
    read -r -p "Install them with sudo apt-get? [y/N] " answer || answer=
    case $answer in [yY]*) ;; *) die "install them with: apt-get install ${missing[*]}" ;; esac
  fi
fi
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -q
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${missing[@]}"
