"""scripts/bench.sh compare INSTALL: TPC-B with strata on, this build against another, in turns. What a change costs or
gives the present is seen here within minutes (rounds differ by 5 %, so the median of ten by some 2 %); no row of the
table."""
import os
import sys
from pathlib import Path

from .cluster import cpu_ticks
from .figures import median, number
from .history import HistoryCluster, history
from .present import OTHER_PORT, tpcb_round
from .settings import SIZES, STRATA
from .shell import say


class _Build(HistoryCluster):
    """A copy of the cluster with a history, served by one build."""

    def __init__(self, name, install, port):
        super().__init__(name, port)
        self._install = install
        self._ticks = {}
        self.processor_us = {}  # of each worker, from start to stop

    def start(self, **settings):
        super().start(install=self._install, **settings)
        self._ticks = {name: cpu_ticks(pid) for name, pid in self.workers().items()}

    def stop(self, mode="fast"):
        self.processor_us = {name: 1e6 / os.sysconf("SC_CLK_TCK") * (cpu_ticks(pid) - self._ticks.get(name, 0))
                             for name, pid in self.workers().items()}
        super().stop(mode)


def measure(install):
    """Prints each round's ratios as it ends, and the medians."""
    if not (Path(install) / "bin" / "postgres").exists():
        sys.exit(f"'{install}' holds no PostgreSQL: make leaves one in build/install of a checkout")
    history.begin()
    this, other = _Build("this", STRATA, history.port), _Build("other", Path(install), OTHER_PORT)
    for one in (this, other):
        one.copy_of(history)
    rounds = []
    for number_ in range(SIZES.rounds):
        result = tpcb_round(number_, other, this)
        ratios = [result["this"][key] / result["other"][key] for key in ("tpcb_tps", "p99_ms", "p50_ms")]
        rounds.append(ratios)
        processor = "; ".join(f"{one.name} " + ", ".join(
            f"{name.split()[-1]} {number(us / result[one.name]['tpcb_tps'] / SIZES.round_seconds)}"
            for name, us in sorted(one.processor_us.items())) for one in (this, other))
        say("compare: tps {}, 99th percentile {}, median {}; ".format(*map(number, ratios))
            + f"processor us a transaction: {processor}")
    tps, p99, p50 = (median(values) for values in zip(*rounds))
    say(f"compare: medians of {len(rounds)} rounds: tps {number(tps)}, 99th percentile {number(p99)}, "
        f"median {number(p50)}")
