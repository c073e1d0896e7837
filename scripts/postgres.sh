#!/usr/bin/env bash
# Fetches PostgreSQL 18's source and builds it once into a cache outside the checkout.
#
# usage: scripts/postgres.sh release|debug
#
# Prints, as its last line on standard output, the cache folder of that build. It holds
#   source/   PostgreSQL's source, never modified
#   build/    the object files, from which the server is linked again with the seams
#   install/  PostgreSQL as its own `make install` leaves it
#
# Environment: STRATA_CACHE (the cache), STRATA_PG_SOURCE (a source tree to use instead of fetching one).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

flavour=${1:?usage: scripts/postgres.sh release|debug}
configure=(
  --disable-rpath --enable-tap-tests --enable-debug
  --with-ssl=openssl --with-libxml --with-uuid=e2fs --with-lz4 --with-zstd --with-liburing
)
case $flavour in
  release) cflags="-O2 -g" ;;
  debug)
    cflags="-O1 -g -fno-omit-frame-pointer"
    configure+=(--enable-cassert --enable-injection-points)
    ;;
  *) die "unknown flavour '$flavour': it is release or debug" ;;
esac

cache=$(strata_cache)
mkdir -p "$cache"

# One builder at a time; a second waits for the first one's result. A finished build needs no right to write the cache.
lock() {
  exec 9>"$cache/.lock"
  flock 9
}

fetch_source() {
  local apt=$cache/apt mirror
  mirror=$(apt-get indextargets --format '$(ORIGIN) $(SITE)' 'Created-By: Packages' |
    awk '$1 == "Debian" { print $2; exit }')
  [ -n "$mirror" ] || die "apt knows no Debian mirror: set STRATA_PG_SOURCE to a PostgreSQL 18 source tree"
  mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/download"
  cat >"$apt/postgresql.sources" <<SOURCES
Types: deb-src
URIs: $mirror
Suites: forky
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
SOURCES
  # A source list, index and cache of their own: the machine's apt configuration is not touched.
  local options=(
    -o "Dir::Etc::sourcelist=$apt/postgresql.sources" -o "Dir::Etc::sourceparts=/dev/null"
    -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o "APT::Sandbox::User="
  )
  say "fetching the source of postgresql-18"
  apt-get "${options[@]}" update -q >&2
  (cd "$apt/download" && rm -f ./* && apt-get "${options[@]}" source -q --download-only --tar-only postgresql-18 >&2)
  local tarball
  tarball=$(ls "$apt"/download/postgresql-18_*.orig.tar.*)
  rm -rf "$cache/source.new"
  mkdir "$cache/source.new"
  tar -xf "$tarball" -C "$cache/source.new" --strip-components=1
  mv "$cache/source.new" "$cache/source"
}

if [ -n "${STRATA_PG_SOURCE:-}" ]; then
  source_dir=$(cd "$STRATA_PG_SOURCE" && pwd)
else
  source_dir=$cache/source
  [ -f "$source_dir/configure" ] || { lock && { [ -f "$source_dir/configure" ] || fetch_source; }; }
fi
version=$(sed -n "s/^PACKAGE_VERSION='\(.*\)'$/\1/p" "$source_dir/configure")
case $version in
  18*) ;;
  *) die "$source_dir holds PostgreSQL '$version', and strata is built into PostgreSQL 18" ;;
esac

key=$(printf '%s\n' "$version" "$source_dir" "$cflags" "${configure[@]}" "$(cc --version | head -n 1)" | sha256sum | cut -c 1-12)
dir=$cache/postgresql-$version-$flavour-$key
[ -f "$dir/complete" ] || lock
if [ ! -f "$dir/complete" ]; then
  rm -rf "$dir"
  mkdir -p "$dir/build"
  ln -s "$source_dir" "$dir/source"
  log=$dir/build.log
  cd "$dir/build"
  say "configuring PostgreSQL $version ($flavour); the log is $log"
  # Every binary finds the libraries beside it, so that the installed tree can be moved.
  progress_of "$log" "$source_dir/configure" --prefix="$dir/install" "${configure[@]}" CFLAGS="$cflags" \
    LDFLAGS="-Wl,-rpath,'\$\$ORIGIN/../lib'"
  say "building PostgreSQL $version ($flavour): about 6 minutes on 2 cores, once"
  progress_of "$log" postgres_make -j "$(nproc)" world-bin
  progress_of "$log" postgres_make -j "$(nproc)" install-world-bin
  # Modules of the test suites, and the libraries that the regression tests load.
  progress_of "$log" postgres_make -j "$(nproc)" -C src/test/regress all
  progress_of "$log" postgres_make -j "$(nproc)" -C src/test/isolation all
  if [ "$flavour" = debug ]; then
    progress_of "$log" postgres_make -C src/test/modules/injection_points install
  fi
  # Root's build is also read by the user that servers run as.
  [ "$(id -u)" != 0 ] || { chmod a+rx "$cache" && chmod -R a+rX "$dir" "$source_dir"; }
  touch "$dir/complete"
fi
echo "$dir"
