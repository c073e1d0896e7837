"""Sizes of the run, each from an environment variable, and where things lie."""
import os
from dataclasses import dataclass, fields
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = Path(os.environ.get("BENCH_OUT", ROOT / "build" / "bench"))
WORK = OUT / "work"  # clusters; deleted at the end
LOGS = OUT / "log"
STRATA = ROOT / "build" / "install"
POSTGRESQL = Path(os.environ["STRATA_POSTGRESQL"]) / "install"  # as it is
QUICK = os.environ.get("BENCH_QUICK", "0") not in ("", "0")

SHARED_BUFFERS_MB = 1024


@dataclass(frozen=True)
class Sizes:
    """Field FOO is set by BENCH_FOO."""

    scale: int = 50  # of pgbench
    clients: int = 4
    rounds: int = 3  # alternating, strata on and off
    round_seconds: int = 120  # of TPC-B, in each round, each side
    read_seconds: int = 24  # of pgbench -S, each side
    stock_seconds: int = 10  # of each kind, on PostgreSQL as it is
    history_seconds: int = 400  # of TPC-B with strata on, all in all; the rounds are part of it
    lookups: int = 60  # in cold sessions
    scans: int = 4  # starts
    rebuilds: int = 6000  # pages
    backlog_mb: int = 450  # of WAL
    recoveries: int = 5
    versus_scale: int = 5  # against MariaDB
    versus_seconds: int = 4  # of each round and kind
    versus_rounds: int = 6


QUICK_SIZES = {
    "scale": 5, "rounds": 1, "round_seconds": 10, "read_seconds": 4, "stock_seconds": 3, "history_seconds": 40,
    "lookups": 15, "scans": 1, "rebuilds": 1000, "backlog_mb": 100, "recoveries": 1, "versus_scale": 2,
    "versus_seconds": 5, "versus_rounds": 1,
}


def _read_sizes():
    values = dict(QUICK_SIZES) if QUICK else {}
    for field in fields(Sizes):
        text = os.environ.get("BENCH_" + field.name.upper())
        if text:
            values[field.name] = int(text)
    return Sizes(**values)


SIZES = _read_sizes()
