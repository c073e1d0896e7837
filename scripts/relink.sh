#!/usr/bin/env bash
# Links the server again, with the seams: PostgreSQL's own object files, some of them with symbols renamed as
# seams/symbols.txt says, plus seams.o.
#
# usage: scripts/relink.sh POSTGRESQL OUT
#   POSTGRESQL  what scripts/postgres.sh printed
#   OUT         a folder of the build; the server becomes OUT/postgres
set -euo pipefail
export LC_ALL=C  # one order for sort and comm
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

[ $# = 2 ] || die "usage: scripts/relink.sh POSTGRESQL OUT"
backend=$1/build/src/backend
out=$2
seams=$here/../seams
symbols=$seams/symbols.txt
[ -d "$backend" ] || die "$backend is missing: run scripts/postgres.sh first"
rm -rf "$out/objects"
mkdir -p "$out/objects"
out=$(cd "$out" && pwd)

relink() { postgres_make -s -C "$backend" -f "$here/relink.mk" "SEAMS=$(cd "$seams" && pwd)" "OUT=$out" "$1"; }

# same_names FILES FOUND: fails unless FOUND, which FILES define or call, are the functions that symbols.txt defines.
same_names() {
  local extra
  extra=$(comm -23 <(echo "$2") <(echo "$wanted") | xargs)
  [ -z "$extra" ] || die "$1: what seams/symbols.txt does not define: $extra"
  extra=$(comm -13 <(echo "$2") <(echo "$wanted") | xargs)
  [ -z "$extra" ] || die "$1: missing, although seams/symbols.txt defines it: $extra"
}

declare -A renames=() definer=()
while read -r verb name object replacement; do
  case $verb in '' | '#'*) continue ;; esac
  [ -f "$backend/$object" ] || die "seams/symbols.txt: '$verb $name $object': no such object file"
  case $verb in
    define)
      [ -z "${definer[$name]:-}" ] || die "seams/symbols.txt: $name is defined twice"
      definer[$name]=$object
      nm -g --defined-only "$backend/$object" | grep " T $name\$" >/dev/null ||
        die "seams/symbols.txt: $object does not define the function $name"
      ;;
    bypass)
      [ -n "${definer[$name]:-}" ] || die "seams/symbols.txt: bypass of $name stands before its definition"
      nm -u "$backend/$object" | grep " U $name\$" >/dev/null ||
        die "seams/symbols.txt: $object does not call the function $name"
      ;;
    replace)
      [ -n "$replacement" ] || die "seams/symbols.txt: replace of $name in $object names nothing in its place"
      nm -u "$backend/$object" | grep " U $name\$" >/dev/null ||
        die "seams/symbols.txt: $object does not use the variable $name"
      ;;
    *) die "seams/symbols.txt: a line begins with '$verb': it must be define, bypass or replace" ;;
  esac
  renames[$object]+=" --redefine-sym $name=${replacement:-strata_real_$name}"
done < <(sed 's/#.*//' "$symbols")

for object in "${!renames[@]}"; do
  mkdir -p "$out/objects/$(dirname "$object")"
  # shellcheck disable=SC2086  # several options
  objcopy ${renames[$object]} "$backend/$object" "$out/objects/$object"
done

relink strata-seams
wanted=$(printf '%s\n' "${!definer[@]}" | sort)
same_names "functions in seams_list.h and seams.c" "$(nm --defined-only "$out/seams.o" | sed -n 's/.* T //p' | sort)"
same_names "calls of strata_real_ functions in seams.o" "$(nm -u "$out/seams.o" | sed -n 's/.* U strata_real_//p' | sort)"

relink strata-server
exported=$(nm -D --defined-only "$out/postgres.new" | awk '{ print $3 }' | sort)
missing=$(comm -13 <(echo "$exported") <(sed 'p; s/^/strata_real_/' <<<"$wanted" | sort) | xargs)
[ -z "$missing" ] || die "the server does not export: $missing"
mv "$out/postgres.new" "$out/postgres"
