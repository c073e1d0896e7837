# The front door. Everything here is thin: the work is done by CMake and by scripts/.
#
#   make           a complete PostgreSQL with strata in build/install
#   make demo      plays the story of README.md on a server under run/, and leaves it running
#   make check     every test
#   make install PREFIX=/somewhere
#   make lint (make format mends what clang-format finds), make bench, make clean

JOBS ?= $(shell nproc)
PREFIX ?=
CHECK = scripts/check.sh

.PHONY: all deps debug asan fuzz demo demo-stop install lint format bench clean
.PHONY: check check-unit check-fuzz check-tap check-oracle check-undrop check-crash check-mutations check-poolers check-regress

all: deps
	cmake --preset release
	cmake --build --preset release -j $(JOBS)

deps:
	scripts/deps.sh

debug asan fuzz: deps
	cmake --preset $@
	cmake --build --preset $@ -j $(JOBS)

demo: all
	scripts/demo.sh start

demo-stop:
	scripts/demo.sh stop

check: all debug asan fuzz
	$(CHECK) unit fuzz tap regress

check-unit: asan
	$(CHECK) unit

check-fuzz: fuzz
	$(CHECK) fuzz

# TESTS='test/t/010_travel.pl ...' runs some of them.
check-tap: debug
	$(CHECK) tap

# ORACLE_SEED=... repeats a run.
check-oracle: all
	$(CHECK) oracle

check-undrop: all
	$(CHECK) undrop

# CRASH_SEED=... repeats a run.
check-crash: debug
	$(CHECK) crash

# MUTATION_SEED=... repeats a run, MUTATION_ROUNDS=... makes it longer.
check-mutations: debug
	$(CHECK) mutations

# With Debian's PgBouncer, which check-tap asks nobody to install.
check-poolers: debug
	scripts/deps.sh poolers
	TESTS=test/t/047_pgbouncer.pl $(CHECK) tap

check-regress: all debug
	$(CHECK) regress

install: all
	@test -n "$(PREFIX)" || { echo "usage: make install PREFIX=/somewhere" >&2; exit 1; }
	cmake --install build --prefix "$(PREFIX)"

lint: all
	scripts/lint.sh

format:
	scripts/lint.sh --fix

bench: all
	scripts/bench.sh

clean:
	scripts/demo.sh stop
	rm -rf build run
