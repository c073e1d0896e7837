"""Single pages rebuilt from history, the layer files in the cache of the operating system."""
import random

from .figures import Figure, median, number, percentile
from .history import history
from .settings import SIZES
from .template import template

SQL = """
SELECT relname, versions, redo_calls, total_us, redo_us
FROM unnest(%s::text[], %s::bigint[], %s::numeric[]) s (relname, block, offset_bytes),
     LATERAL strata.rebuild_cost(relname::regclass, block, %s::pg_lsn + offset_bytes)
"""
TABLES = ["pgbench_accounts"] * 7 + ["pgbench_accounts_pkey", "pgbench_tellers", "pgbench_branches"]
WARM_UP = 100  # pages; the first calls in a process set redo up


def _samples(wal_bytes):
    rand = random.Random(3)
    tables = [rand.choice(TABLES) for _ in range(SIZES.rebuilds + WARM_UP)]
    blocks = [rand.randrange(template.blocks[table]) for table in tables]
    offsets = [rand.randrange(wal_bytes // 10, wal_bytes) for _ in tables]
    return tables, blocks, offsets


def measure():
    history.complete()
    with history.running():
        history.settle()
        wal_bytes = history.wal_bytes(history.horizon, history.value("SELECT ingested_lsn FROM strata.status()"))
        # Once for the operating system's cache, once for the figures; two sessions, so that nothing else is warm.
        for _ in range(2):
            rows = history.rows(SQL, *_samples(wal_bytes), history.horizon)[WARM_UP:]
    pages = [row for row in rows if 1 <= row[2] <= 64]
    total = [row[3] for row in pages]
    calls, redo_us = sum(row[2] for row in pages), sum(row[4] for row in pages)
    detail = (f"{len(pages):,} of {len(rows):,} random pages of pgbench's tables at random moments had 1 to 64 "
              f"records: median {number(median([row[2] for row in pages]))}, among "
              f"{number(median([row[1] for row in pages]))} versions")
    figures = [
        Figure("rebuilding single pages with 1 to 64 records, median", "", median(total), "µs", "<= 40", detail),
        Figure("the same, 99th percentile", "", percentile(total, 99), "µs", "<= 250"),
        Figure("redo calls a second and core", "", calls / redo_us, "million", ">= 1",
               f"{calls:,} calls; the time of applying versions, without their reading: median "
               f"{number(median([row[4] for row in pages]))} µs a page"),
    ]
    names = ("table", "versions", "redo_calls", "total_us", "redo_us")
    return figures, {"pages": [dict(zip(names, row)) for row in pages]}
