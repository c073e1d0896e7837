"""Two loads side by side, of which one at a time runs: what else the machine does changes from second to second, and so hits
both alike."""
import os
import re
import signal
import subprocess
import time

from .cluster import pgbench_command
from .settings import SIZES, WORK
from .shell import as_server_user

SLICE_SECONDS = 0.25
DONE = re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE)


class _Load:
    """pgbench in a session of its own, which is stopped and continued by signals."""

    def __init__(self, script, seconds, port):
        self.seconds = 0.0  # that it has run
        self._process = subprocess.Popen(
            as_server_user(pgbench_command(script, seconds, SIZES.clients, port=port)), cwd=WORK,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
        self._signal(signal.SIGSTOP)

    def _signal(self, what):
        os.killpg(self._process.pid, what)

    def running(self):
        return self._process.poll() is None

    def run(self, seconds):
        begin = time.perf_counter()
        self._signal(signal.SIGCONT)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGSTOP)
        self.seconds += time.perf_counter() - begin

    def end(self):
        if self.running():
            self._signal(signal.SIGKILL)
        self._process.wait()

    def tps(self):
        """REQUIRES: it has come to its end."""
        out = self._process.stdout.read()
        if self._process.returncode != 0:
            raise RuntimeError(f"pgbench failed: {out[-500:]}")
        return int(DONE.search(out).group(1)) / self.seconds


def tps_in_turns(script, seconds, ports):
    """Transactions a second of the servers at the ports, by name; `seconds` is how long each of two loads runs."""
    loads = {}
    try:
        for name, port in ports.items():
            loads[name] = _Load(script, seconds * len(ports), port)
        order = list(loads.values())
        while any(load.running() for load in order):
            for load in order:
                if load.running():
                    load.run(SLICE_SECONDS)
            order.reverse()
        return {name: load.tps() for name, load in loads.items()}
    finally:
        for load in loads.values():
            load.end()
