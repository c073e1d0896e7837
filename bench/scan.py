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


def _moment_after(share):
    """(time, updates since) where that share of the history's WAL lies before. REQUIRES: running, all ingested."""
    end = history.value("SELECT ingested_lsn FROM strata.status()")
    before = int(share * history.wal_bytes(history.horizon, end))
    moment = history.value("SELECT strata.time_at(%s::pg_lsn + %s::numeric)::text", history.horizon, before)
    return moment, history.value("SELECT count(*) FROM pgbench_history WHERE mtime > %s::timestamptz", moment)


def measure():
    history.complete()
    with history.running(**SETTINGS):
        history.settle()
        early, updates = _moment_after(0.1)
        middle, updates_since_middle = _moment_after(0.5)
        # The present at its best: hint bits are set, and written.
        history.rows(SCAN)
        history.rows("CHECKPOINT")
    starts = [_timed_scans(early, past_first=number_ % 2 == 0) for number_ in range(SIZES.scans)]
    from_middle = [_timed_scans(middle, past_first=False)]

    def ratio(starts, which):
        return median([past[which] / present[which] for past, present in starts])

    def both(starts, which):
        return " ms, ".join(number(median([one[which] for one in side])) for side in zip(*starts)) + " ms"

    def figures(what, starts, targets, detail):
        return [
            Figure(f"sequential scan of pgbench_accounts as it was {what}, first time", "the present, cold shared buffers",
                   ratio(starts, 0), "times the time", targets[0], f"{both(starts, 0)}; {detail}"),
            Figure("the same scan again", "the present, warm", ratio(starts, 1), "times the time", targets[1],
                   f"{both(starts, 1)}; the best of {AGAIN} after each start, in turns"),
        ]

    return [
        *figures(f"{updates:,} updates ago", starts, ("<= 3.0", "<= 1.05"),
                 f"{SIZES.scans} starts, both in each; no parallel workers"),
        *figures(f"in the middle of the history, {updates_since_middle:,} updates ago", from_middle, ("", ""),
                 "one start; pages there are farther from their images"),
    ], {"past_and_present_ms": starts, "middle": from_middle, "updates": updates}
