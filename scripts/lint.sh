#!/usr/bin/env bash
# usage: scripts/lint.sh [--fix]
#
# Checks formatting of all C and C++ files, the syntax of the scripts, which folder of src includes which, and src/store
# with clang-tidy.
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

# The README of each folder has a line "May include `src/a`, `src/b` ...": what its files may include of src/.
say "includes between the folders of src"
wrong=0
folders=$(cd src && printf '%s\n' * | paste -sd '|')
for folder in src/*/; do
  folder=${folder%/}
  allowed=$(sed -n '/^May include/,/^$/p' "$folder/README.md" | grep -o 'src/[a-z]\+' || true)
  grep -q '^May include' "$folder/README.md" || { echo "$folder/README.md does not say what it may include"; wrong=1; }
  while IFS=: read -r file line text; do
    other=src/$(sed 's/.*#include "\([a-z]*\)\/.*/\1/' <<<"$text")
    if [ "$other" = "$folder" ] || [ ! -d "$other" ] || grep -qx "$other" <<<"$allowed"; then continue; fi
    echo "$file:$line: $folder/README.md does not allow to include $other"
    wrong=1
  done < <(grep -rnE '#include "('"$folders"')/' "$folder" --include='*.h' --include='*.cc')
done
[ "$wrong" = 0 ] || exit 1

# A function of symbols.txt has its reason behind it or on the line before; those of the two lists have one there.
say "reasons of seams"
unexplained=$(awk '/^define/ && !/#/ && last !~ "^# " $2 ": " { print $2 } { last = $0 }' seams/symbols.txt |
  grep -vxFf <(sed -n 's/^[A-Z]*_FUNCTION(\(.*\))$/\1/p' seams/refused_functions.h seams/server_functions.h) || true)
[ -z "$unexplained" ] || die "seams/symbols.txt does not say why it needs: $(xargs <<<"$unexplained")"

say "clang-tidy: src/store"
printf '%s\0' src/store/*.cc | xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build --quiet
