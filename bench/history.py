"""The cluster with strata on that TPC-B has given a history; several rows measure it."""
import random

from .cluster import PORT, TPCB, Cluster, connect, pgbench, write_bytes
from .settings import SIZES
from .shell import say, timed, wait_until
from .template import template

# A checkpoint every 30 s: WAL then holds an image of each page twice a minute. Whatever is compared has the same.
LOAD_SETTINGS = {"checkpoint_timeout": "30s"}


class HistoryCluster(Cluster):
    """Keeps count of what strata's processes write, and of how long TPC-B has run."""

    def __init__(self, name, port=PORT):
        super().__init__(name, port)
        self.begun = False
        self.loaded_seconds = 0
        self.baseline_bytes = 0
        self.horizon = None
        self.written_bytes = 0  # by strata, the baseline left out
        self._io = {}

    def start(self, **settings):
        settings.setdefault("strata_enabled", "on")
        super().start(**{**LOAD_SETTINGS, **settings})
        self.wait_for_history()
        self._io = {} if self.horizon else None

    def stop(self, mode="fast"):
        self.note_io()
        super().stop(mode)

    def note_io(self):
        now = write_bytes(self.workers().values())
        if self._io is not None:
            self.written_bytes += sum(bytes_ - self._io.get(pid, 0) for pid, bytes_ in now.items())
        self._io = now

    def begin(self):
        """Copies the template, takes the baseline, loads a tenth of the history and keeps a copy of that. Leaves the
        server stopped. Does nothing the second time."""
        if self.begun:
            return
        self.begun = True
        self.copy_of(template.get())
        say("history: baseline and the first tenth")
        with self.running():
            self.note_baseline()
            self.load(SIZES.history_seconds // 10)
            self.settle()
        tenth.copy_of(self)
        tenth.loaded_seconds, tenth.horizon = self.loaded_seconds, self.horizon

    def note_baseline(self):
        """REQUIRES: running for the first time."""
        self.baseline_bytes = int(self.value("SELECT sum(bytes) FROM strata.layers()"))
        self.horizon = self.value("SELECT lsn FROM strata.horizon()")
        self.note_io()

    def load(self, seconds):
        """Runs TPC-B. REQUIRES: running."""
        pgbench(TPCB, seconds, SIZES.clients)
        self.note_load(seconds)

    def note_load(self, seconds):
        """So long has TPC-B run."""
        self.loaded_seconds += seconds

    def complete(self):
        """Loads what is left. Leaves the server stopped."""
        self.begin()
        left = SIZES.history_seconds - self.loaded_seconds
        if left > 0:
            say(f"history: {left} s of TPC-B")
            with self.running():
                self.load(left)

    def settle(self):
        """Waits until WAL is ingested and compaction has nothing to do. REQUIRES: running."""
        self.rows("SELECT strata.wait_for(pg_current_wal_lsn())")
        seen = []

        def idle():
            seen.append((self.value("SELECT compaction FROM strata.status()"),
                         self.rows("SELECT name FROM strata.layers() ORDER BY 1")))
            return len(seen) >= 6 and all(one == ("idle", seen[-1][1]) for one in seen[-6:])

        wait_until("compaction is idle", idle, seconds=300, step=0.6)

    def moments(self, count, seed):
        """Times, one a random WAL position; no two sessions meet at one, so that each finds shared buffers empty of
        it. REQUIRES: running."""
        end = self.value("SELECT ingested_lsn FROM strata.status()")
        bytes_ = self.wal_bytes(self.horizon, end)
        rand = random.Random(seed)
        return [self.value("SELECT strata.time_at(%s::pg_lsn + %s::numeric)::text", self.horizon,
                           rand.randrange(bytes_ // 100, bytes_)) for _ in range(count)]

    def lookup(self, moment, aid):
        """(milliseconds from SET to the first row, the row) of a lookup in a new session. REQUIRES: running."""
        connection = connect(self.port)
        try:
            return timed(connection.cursor(), f"SET strata.travel_time = '{moment}'",
                         f"SELECT aid, bid, abalance FROM pgbench_accounts WHERE aid = {aid}")
        finally:
            connection.close()


history = HistoryCluster("on")
tenth = HistoryCluster("tenth", PORT + 1)  # as `history` was after a tenth of its seconds
