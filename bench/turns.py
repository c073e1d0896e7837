"""Two loads side by side, of which one at a time runs: what else the machine does changes from second to second, and so hits
both alike."""
import os
import re
import signal
import subprocess
import time

from .cluster import pgbench_command
from .settings import SIZES, WORK
from .shell import as_server_user, on_processor

DONE = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)


class _Load:
    """pgbench in a session of its own, which is stopped and continued by signals. So is the server with all its
    processes, where it works on its own account."""

    def __init__(self, script, seconds, cluster, whole_server, log_prefix, processor):
        self.seconds = 0.0  # that it has run
        self._server = cluster if whole_server else None
        self._process = subprocess.Popen(
            as_server_user([*on_processor(processor),
                            *pgbench_command(script, seconds, SIZES.clients, port=cluster.port, log_prefix=log_prefix)]),
            cwd=WORK, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
        self._stop()

    def _stop(self):
        self._signal(signal.SIGSTOP)
        if self._server is not None:
            self._server.freeze()

    def _continue(self):
        if self._server is not None:
            self._server.thaw()
        self._signal(signal.SIGCONT)

    def _signal(self, what):
        if self.running():
            os.killpg(self._process.pid, what)

    def running(self):
        return self._process.poll() is None

    def run(self, seconds):
        begin = time.perf_counter()
        self._continue()
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        self._stop()
        self.seconds += time.perf_counter() - begin

    def end(self):
        if self.running():
            self._signal(signal.SIGKILL)
        self._process.wait()
        if self._server is not None:
            self._server.thaw()

    def tps(self):
        """REQUIRES: it has come to its end."""
        out = self._process.stdout.read()
        if self._process.returncode != 0:
            raise RuntimeError(f"pgbench failed: {out[-500:]}")
        return int(DONE.search(out).group(1)) / self.seconds


def tps_in_turns(script, seconds, clusters, slice_seconds, whole_servers=False, log_prefixes=None, processor=None):
    """Transactions a second by name of cluster; `seconds` is how long each of two loads runs. With `log_prefixes`, by
    name too, pgbench logs latencies there: that of whoever was stopped on his way has the other's turn in it. pgbench
    stays on `processor` where one is named."""
    loads = {}
    try:
        for one in clusters:
            loads[one.name] = _Load(script, seconds * len(clusters), one, whole_servers,
                                    log_prefixes[one.name] if log_prefixes else None, processor)
        order = list(loads.values())
        while any(load.running() for load in order):
            for load in order:
                if load.running():
                    load.run(slice_seconds)
            order.reverse()
        return {name: load.tps() for name, load in loads.items()}
    finally:
        for load in loads.values():
            load.end()
