#!/usr/bin/env bash
# Runs tests that have been built, and says at the end what each suite took.
#
# usage: scripts/check.sh unit|fuzz|tap|oracle|undrop|crash|mutations|regress...
#
# unit     GoogleTest under AddressSanitizer and UndefinedBehaviorSanitizer
# fuzz     each fuzz target for FUZZ_SECONDS (10), from the corpus in fuzz/corpus/TARGET
# tap      test/t, or the files in TESTS, against the server with assertions
# oracle   test/oracle, or the files in TESTS: point-in-time recovery and wal_consistency_checking against history, on the
#          release server; ORACLE_SEED repeats a run. The sums of all files come last
# undrop   test/undrop: every table of PostgreSQL's regression database is dropped and brought back, on the release server
# crash    test/crash, or the files in TESTS: 264 crashes of the server with assertions; CRASH_SEED repeats a run
# mutations  the long form of test/t/086: MUTATION_ROUNDS (20) times 100 wrong versions; MUTATION_SEED repeats a run
# regress  PostgreSQL's own suites, with strata on (server with assertions) and off (release)
#
# JOBS (2) test files run at once. Every suite runs even where one before it failed; the exit status tells.
set -uo pipefail
# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

out=$root/build/check
summary=()
sums=()  # what the oracles counted
failed=0

# suite NAME COMMAND...: runs the command, and notes how it ended and how long it took.
suite() {
  local name=$1 begin=$SECONDS result=passed
  shift
  say "$name"
  "$@" || { result=FAILED; failed=1; }
  summary+=("$(printf '%-24s %-7s %4d s' "$name" "$result" $((SECONDS - begin)))")
}

unit() { ctest --test-dir "$root/build/asan" --no-tests=error --output-on-failure -j 2 2>&1 | grep -v '^ *Start ' ; }

fuzz_one() {
  local name=$1 corpus=("$out/corpus/$1")
  mkdir -p "${corpus[0]}"
  # Inputs that are found go to the first folder; the seeds are only read.
  [ ! -d "$root/fuzz/corpus/$name" ] || corpus+=("$root/fuzz/corpus/$name")
  (cd "$out" && "$root/build/fuzz/$name" -max_total_time="${FUZZ_SECONDS:-10}" -print_final_stats=1 -verbosity=0 \
    "${corpus[@]}")
}

fuzz() {
  local source name
  for source in "$root"/fuzz/*.cc; do
    [ -f "$source" ] || die "fuzz/ holds no target"
    name=$(basename "$source" .cc)
    suite "fuzz: $name" fuzz_one "$name"
  done
}

# One data directory, that most tests copy instead of calling initdb.
tap_template() {
  local install=$1 template=$2
  as_server_user "$install/bin/initdb" -D "$template" --auth trust --no-sync --no-instructions --lc-messages=C \
    --no-clean >"$out/initdb.log" 2>&1 || { cat "$out/initdb.log"; return 1; }
}

# prove_in FLAVOUR INSTALL FOLDER FILES...: runs test files with what PostgreSQL's makefiles and ours set.
prove_in() {
  local flavour=$1 install=$2 work=$3
  shift 3
  rm -rf "$work"
  server_folder "$work"
  tap_template "$install" "$work/template" || return 1
  cd "$work" || return 1
  as_server_user env -u PGUSER -u PGDATABASE -u PGHOST -u PGPORT PATH="$install/bin:$PATH" LC_ALL=C TZ=UTC \
    PERL5LIB="$install/lib/pgxs/src/test/perl:$root/test/perl" \
    PG_REGRESS="$install/lib/pgxs/src/test/regress/pg_regress" INITDB_TEMPLATE="$work/template" \
    STRATA_SOURCE="$root" STRATA_POSTGRESQL="$(postgres_of "$flavour")" STRATA_TEST_LIBRARIES="$(dirname "$install")" \
    TESTDATADIR="$work/tmp_check" TESTLOGDIR="$work/log" PG_TEST_PORT_DIR="$work/ports" \
    timeout "${TAP_SECONDS:-1500}" prove -j "${JOBS:-2}" --timer --failures "$@"
}

tap() {
  local tests=("$root"/test/t/*.pl)
  # shellcheck disable=SC2206  # a list of files
  [ -z "${TESTS:-}" ] || tests=($(cd "$root" && realpath $TESTS))
  prove_in debug "$root/build/debug/install" "$out/tap" "${tests[@]}"
}

# The long form of test/t/030 and 031, where speed counts more than assertions. One seed for all files.
oracle() {
  local tests=("$root"/test/oracle/*.pl) figures=$out/oracle-figures status=0
  # shellcheck disable=SC2206  # a list of files
  [ -z "${TESTS:-}" ] || tests=($(cd "$root" && realpath $TESTS))
  rm -rf "$figures"
  server_folder "$figures"
  export ORACLE_SEED=${ORACLE_SEED:-$((RANDOM * 32768 + RANDOM))} ORACLE_FIGURES=$figures
  TAP_SECONDS=${TAP_SECONDS:-7200} prove_in release "$root/build/install" "$out/oracle" "${tests[@]}" || status=1
  "$root/scripts/oracle_figures.pl" "$figures" >"$out/oracle-figures.txt" || [ -n "${TESTS:-}" ] || status=1
  sums+=("$(cat "$out/oracle-figures.txt")")
  return "$status"
}

# The long form of test/t/110 and 112.
undrop() {
  TAP_SECONDS=${TAP_SECONDS:-3600} prove_in release "$root/build/install" "$out/undrop" "$root"/test/undrop/*.pl
}

# The long form of test/t/053.
crash() {
  local tests=("$root"/test/crash/*.pl)
  # shellcheck disable=SC2206  # a list of files
  [ -z "${TESTS:-}" ] || tests=($(cd "$root" && realpath $TESTS))
  TAP_SECONDS=${TAP_SECONDS:-3600} prove_in debug "$root/build/debug/install" "$out/crash" "${tests[@]}"
}

# The long form of test/t/086.
mutations() {
  export MUTATION_ROUNDS=${MUTATION_ROUNDS:-20} MUTATION_SEED=${MUTATION_SEED:-$((RANDOM * 32768 + RANDOM))}
  echo "MUTATION_SEED=$MUTATION_SEED"
  TAP_SECONDS=${TAP_SECONDS:-3600} prove_in debug "$root/build/debug/install" "$out/mutations" \
    "$root/test/t/086_planted_damage.pl"
}

regress() {
  local run=$root/test/regress/run.sh suite_name
  local release debug
  release=$(postgres_of release) debug=$(postgres_of debug)
  for suite_name in regress isolation; do
    suite "$suite_name, strata off" "$run" "$suite_name" off "$release" "$root/build/install" "$out/$suite_name-off"
    suite "$suite_name, strata on" "$run" "$suite_name" on "$debug" "$root/build/debug/install" "$out/$suite_name-on"
  done
}

[ $# != 0 ] || die "usage: scripts/check.sh unit|fuzz|tap|oracle|undrop|crash|mutations|regress..."
need_server_user
mkdir -p "$out"
need_reachable "$out"
for what in "$@"; do
  case $what in
    unit | tap | oracle | undrop | crash | mutations) suite "$what" "$what" ;;
    fuzz | regress) "$what" ;;
    *) die "unknown suite '$what'" ;;
  esac
done
printf '\n'
printf '%s\n' "${summary[@]}" "${sums[@]}"
if [ "$failed" = 0 ]; then echo "check: all passed"; else echo "check: FAILED"; fi
exit "$failed"
