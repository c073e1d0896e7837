"""A sequential scan of a table as it was, against the same scan in the present."""
import time

from .cluster import connect
from .figures import Figure, median, number
from .history import history
from .settings import SIZES

# A table larger than a quarter of shared buffers is read through a small ring and does not stay there.
SETTINGS = {"shared_buffers": "4GB", "autovacuum": "off", "max_parallel_workers_per_gather": "0"}
SCAN = "SELECT count(*), sum(abalance) FROM pgbench_accounts"
AGAIN = 5


def _timed_scans(moment):
    """Milliseconds of the first scan after a start and of the best of those after it; and what the scan showed."""
    with history.running(**SETTINGS):
        history.settle()
        connection = connect()
        cursor = connection.cursor()
        if moment:
            cursor.execute("SET strata.travel_time = %s", (moment,))
        times = []
        for _ in range(1 + AGAIN):
            begin = time.perf_counter()
            cursor.execute(SCAN)
            shown = cursor.fetchone()
            times.append((time.perf_counter() - begin) * 1000)
        connection.close()
    return times[0], min(times[1:]), shown


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
    past, present = [], []
    for _ in range(SIZES.scans):
        past.append(_timed_scans(moment))
        present.append(_timed_scans(None))
    first_past, first_present = median([p[0] for p in past]), median([p[0] for p in present])
    again_past, again_present = median([p[1] for p in past]), median([p[1] for p in present])
    figures = [
        Figure(f"sequential scan of pgbench_accounts as it was {updates:,} updates ago, first time",
               "the present, cold shared buffers", first_past / first_present, "times the time", "<= 3.0",
               f"{number(first_past)} ms, {number(first_present)} ms; {SIZES.scans} starts each; no parallel workers"),
        Figure("the same scan again", "the present, warm", again_past / again_present, "times the time", "<= 1.05",
               f"{number(again_past)} ms, {number(again_present)} ms; the best of {AGAIN} after each start"),
    ]
    return figures, {"past_ms": [p[:2] for p in past], "present_ms": [p[:2] for p in present], "updates": updates}
