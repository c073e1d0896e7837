"""A sequential scan of a table as it was, against the same scan in the present."""
from .cluster import connect
from .figures import Figure, median, number
from .history import history
from .settings import SIZES
from .shell import timed

# A table larger than a quarter of shared buffers is read through a small ring and does not stay there.
SETTINGS = {"shared_buffers": "4GB", "autovacuum": "off", "max_parallel_workers_per_gather": "0"}
SCAN = "SELECT count(*), sum(abalance) FROM pgbench_accounts"
AGAIN = 5


def _timed_scans(moment, past_first):
    """Of the past and of the present, in turns, in one server: (milliseconds of the first scan after its start, the best
    of those after it)."""
    with history.running(**SETTINGS):
        history.settle()
        connections = [connect(), connect()]
        past, present = (connection.cursor() for connection in connections)
        past.execute("SET strata.travel_time = %s", (moment,))
        order = [past, present] if past_first else [present, past]
        times = {cursor: [] for cursor in order}
        for _ in range(1 + AGAIN):
            for cursor in order:
                times[cursor].append(timed(cursor, SCAN)[0])
        for connection in connections:
            connection.close()
    return [(times[cursor][0], min(times[cursor][1:])) for cursor in (past, present)]


def measure():
    history.complete()
    with history.running(**SETTINGS):
        history.settle()
        # A tenth of the history lies before that moment, the rest of the updates after it.
        end = history.value("SELECT ingested_lsn FROM strata.status()")
        before = history.wal_bytes(history.horizon, end) // 10
        moment = history.value("SELECT strata.time_at(%s::pg_lsn + %s::numeric)::text", history.horizon, before)
        updates = history.value("SELECT count(*) FROM pgbench_history WHERE mtime > %s::timestamptz", moment)
        # The present at its best: hint bits are set, and written.
        history.rows(SCAN)
        history.rows("CHECKPOINT")
    starts = [_timed_scans(moment, past_first=number_ % 2 == 0) for number_ in range(SIZES.scans)]
    past, present = zip(*starts)

    def ratio(which):
        return median([one[which] / other[which] for one, other in starts])

    def both(which):
        return " ms, ".join(number(median([one[which] for one in side])) for side in (past, present)) + " ms"

    figures = [
        Figure(f"sequential scan of pgbench_accounts as it was {updates:,} updates ago, first time",
               "the present, cold shared buffers", ratio(0), "times the time", "<= 3.0",
               f"{both(0)}; {SIZES.scans} starts, both in each; no parallel workers"),
        Figure("the same scan again", "the present, warm", ratio(1), "times the time", "<= 1.05",
               f"{both(1)}; the best of {AGAIN} after each start, in turns"),
    ]
    return figures, {"past_ms": past, "present_ms": present, "updates": updates}
