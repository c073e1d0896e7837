"""Ingest catching up on a backlog of WAL, against crash recovery and pg_waldump over the same WAL."""
import os
import re
import subprocess
import time

import psycopg2

from .cluster import TPCB, Cluster, cpu_ticks, pgbench_command
from .figures import Figure, median, number
from .settings import SIZES, STRATA, WORK
from .shell import as_server_user, run, say, wait_until
from .template import template

DONE = re.compile(r"redo done at \S+ system usage: CPU: user: ([0-9.]+) s, system: ([0-9.]+) s, elapsed: ([0-9.]+) s")
CATCH_UP = """
SELECT extract(epoch FROM clock_timestamp() - w.backend_start), w.pid
FROM strata.wait_for(%s), (SELECT backend_start, pid FROM pg_stat_activity WHERE backend_type = 'strata ingest') w
"""


def _load_without_ingest(cluster):
    """TPC-B between two checkpoints, with history held by its slot; ends in a crash. Returns where WAL began and ended.

    strata is off meanwhile, so that nothing of this WAL is ingested. All of it is newer than the last checkpoint: crash
    recovery replays it all."""
    cluster.start(archive_mode="off")
    cluster.rows("CHECKPOINT")
    begin = cluster.value("SELECT redo_lsn FROM pg_control_checkpoint()")
    load = subprocess.Popen(as_server_user(pgbench_command(TPCB, 600, SIZES.clients)), cwd=WORK,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until("there is a backlog", lambda: cluster.wal_bytes(
            begin, cluster.value("SELECT pg_current_wal_lsn()")) >= SIZES.backlog_mb * 1e6, seconds=600, step=0.1)
        if cluster.value("SELECT redo_lsn FROM pg_control_checkpoint()") != begin:
            raise RuntimeError("a checkpoint came into the backlog; make BENCH_BACKLOG_MB smaller")
        end = cluster.value("SELECT pg_current_wal_flush_lsn()")
    finally:
        cluster.stop("immediate")
        load.wait()
    return begin, end


def _recover(cluster):
    """(seconds of crash recovery, processor seconds of it), as the server's log says. Leaves the server stopped."""
    before = len(cluster.log_text())
    with cluster.running(archive_mode="off", log_min_messages="log"):
        done = DONE.search(cluster.log_text(), before)
    user, system, elapsed = map(float, done.groups())
    return elapsed, user + system


def _catch_up(cluster, end):
    """(seconds since ingest's process began, processor seconds that it took). Leaves the server stopped."""
    def attempt():
        try:
            return cluster.rows(CATCH_UP, end)
        except psycopg2.Error:
            return None  # the worker has not opened the store yet

    with cluster.running(archive_mode="off", strata_enabled="on"):
        seconds, pid = wait_until("ingest has caught up", attempt, seconds=600, step=0.005)[0]
        return float(seconds), cpu_ticks(pid) / os.sysconf("SC_CLK_TCK")


def _decode(cluster, begin, end):
    started = time.perf_counter()
    run(STRATA / "bin/pg_waldump", "--stats", "-q", "-p", cluster.data / "pg_wal", "-s", begin, "-e", end)
    return time.perf_counter() - started


def measure():
    crashed = Cluster("crashed")
    crashed.copy_of(template.get())
    say("ingest: a backlog")
    with crashed.running(archive_mode="off", strata_enabled="on"):
        crashed.wait_for_history()
        crashed.rows("SELECT strata.wait_for(pg_current_wal_lsn())")
    begin, end = _load_without_ingest(crashed)
    cluster = Cluster("ingest")
    recoveries, catch_ups, decodings = [], [], []
    for _ in range(SIZES.recoveries):
        cluster.copy_of(crashed)
        decodings.append(_decode(cluster, begin, end))
        recoveries.append(_recover(cluster))
        run("sync", "-f", cluster.data)
        catch_ups.append(_catch_up(cluster, end))
    with cluster.running(archive_mode="off"):
        megabytes = cluster.wal_bytes(begin, end) / 1e6
    cluster.remove()
    crashed.remove()
    ingest_s, ingest_processor = zip(*catch_ups)
    recovery_s, recovery_processor = zip(*recoveries)
    rates = [megabytes / median(times) for times in (ingest_s, recovery_s, decodings)]

    def faster_than(times):
        return median([theirs / ours for ours, theirs in zip(ingest_s, times)])

    size = (f"{number(megabytes)} MB of WAL from a checkpoint on, medians of {SIZES.recoveries}; processor seconds "
            f"{number(median(ingest_processor))}, {number(median(recovery_processor))}")
    figures = [
        Figure("ingest catching up on a WAL backlog (TPC-B, default checkpoints), MB/s",
               "PostgreSQL's crash recovery of the same WAL", faster_than(recovery_s), "", ">= 2.0",
               f"{number(rates[0])} MB/s, {number(rates[1])} MB/s; {size}"),
        Figure("the same", "pg_waldump --stats over the same WAL", faster_than(decodings), "", ">= 0.4",
               f"{number(rates[0])} MB/s, {number(rates[2])} MB/s"),
    ]
    return figures, {"megabytes": megabytes, "ingest_s": ingest_s, "ingest_processor_s": ingest_processor,
                     "recovery_s": recovery_s, "recovery_processor_s": recovery_processor,
                     "waldump_s": decodings}
