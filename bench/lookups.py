"""A row as it was: one lookup in a cold session, against point-in-time recovery to the same moment."""
import random
import time

import psycopg2

from .cluster import Cluster, connect
from .figures import Figure, median, number, percentile
from .history import history, tenth
from .settings import SIZES
from .shell import pipe, run, say
from .template import BASE_BACKUP


def _try_lookup(aid):
    try:
        connection = connect()
    except psycopg2.OperationalError:
        return None
    with connection.cursor() as cursor:
        cursor.execute("SELECT aid, bid, abalance FROM pgbench_accounts WHERE aid = %s", (aid,))
        row = cursor.fetchone()
    connection.close()
    return row


def _recover(moment, aid):
    """(seconds, the row): unpacks the base backup, replays WAL to the moment, and looks the row up."""
    restored = Cluster("pitr")
    begin = time.perf_counter()
    run("mkdir", "-m", "700", restored.data)
    pipe('zstd -q -dc "$1" | tar -x -C "$2"', BASE_BACKUP, restored.data)
    run("touch", restored.data / "recovery.signal")
    restored.start(wait=False, archive_mode="off", hot_standby="off", restore_command=f"cp {history.archive}/%f %p",
                   recovery_target_time=moment, recovery_target_action="promote")
    try:
        row = None
        while row is None:
            time.sleep(0.01)
            row = _try_lookup(aid)
            if time.perf_counter() - begin > 900:
                raise RuntimeError(f"point-in-time recovery has not come to its end; see {restored.log}")
        seconds = time.perf_counter() - begin
    finally:
        restored.stop_after_failure()
    restored.remove()
    return seconds, row


def _lookups():
    """Milliseconds from SET to the first row, each in a new session at a new moment: with all history and with a tenth
    of it, one and the other in turns, as a machine is quicker at one time than at another."""
    moments = {cluster: cluster.moments(SIZES.lookups, cluster.loaded_seconds) for cluster in (history, tenth)}
    rand = random.Random(history.loaded_seconds)
    times = {history: [], tenth: []}
    for pair in zip(moments[history], moments[tenth]):
        aid = rand.randint(1, 100_000 * SIZES.scale)
        for cluster, moment in zip((history, tenth), pair):
            times[cluster].append(cluster.lookup(moment, aid)[0])
    return times[history], times[tenth]


def measure():
    history.complete()
    with history.running(), tenth.running():
        # All WAL is in the archive when the server has stopped.
        history.rows("SELECT pg_switch_wal()")
        history.settle()
        tenth.settle()
        lookups, with_a_tenth = _lookups()
        end = history.value("SELECT ingested_lsn FROM strata.status()")
        middle = history.wal_bytes(history.horizon, end) // 2
        moment = history.value("SELECT strata.time_at(%s::pg_lsn + %s::numeric)::text", history.horizon, middle)
        aid = random.Random(1).randint(1, 100_000 * SIZES.scale)
        row = history.lookup(moment, aid)[1]
    tenth.remove()
    say("lookup: point-in-time recovery")
    seconds, recovered = _recover(moment, aid)
    if recovered != row:
        raise RuntimeError(f"at {moment} recovery shows {recovered}, a travelling session {row}")

    first, now = median(with_a_tenth), median(lookups)
    detail = (f"median of {len(lookups)} sessions, each at a moment of its own; 95th percentile "
              f"{number(percentile(lookups, 95))} ms")
    figures = [
        Figure("from SET to the first row of a primary-key lookup, cold session, nothing in shared buffers",
               "PITR to the same point: restore, replay, first row", seconds * 1000 / now, "times faster", ">= 1000",
               f"PITR {number(seconds)} s to the middle of the history; both show the same row"),
        Figure("the same, ms", "", now, "ms", "<= 30", detail),
        Figure(f"the same lookup with {SIZES.history_seconds} s of history",
               f"with {SIZES.history_seconds // 10} s of history", now / first, "", "<= 1.3",
               f"{number(now)} ms, {number(first)} ms; in turns, {SIZES.lookups} each"),
    ]
    return figures, {"lookup_ms": lookups, "lookup_ms_with_a_tenth": with_a_tenth, "pitr_seconds": seconds}
