"""A PostgreSQL cluster. One server works at a time, so that none disturbs another."""
import os
import re
import shlex
import signal
from contextlib import contextmanager

import psycopg2

from .settings import LOGS, SHARED_BUFFERS_MB, STRATA, WORK
from .shell import on_processor, run, wait_until

SOCKETS = WORK

COMMON = {
    "listen_addresses": "",
    "unix_socket_directories": str(SOCKETS),
    "shared_buffers": f"{SHARED_BUFFERS_MB}MB",
    "max_connections": "40",
    "log_checkpoints": "on",
    "timezone": "UTC",
}


PORT = 5432


def connect(port=PORT):
    connection = psycopg2.connect(host=str(SOCKETS), port=port, user="postgres", dbname="postgres")
    connection.autocommit = True
    return connection


class Cluster:
    def __init__(self, name, port=PORT):
        """Two servers may be there at the same time when their ports differ."""
        self.name = name
        self.port = port
        self.data = WORK / name
        self.archive = WORK / f"{name}.archive"
        self.log = LOGS / f"{name}.log"

    def create(self):
        run(STRATA / "bin/initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--no-sync", "--no-instructions")
        lines = "".join(f"{key} = '{value}'\n" for key, value in COMMON.items())
        run("bash", "-c", 'printf %s "$1" >>"$2"', "bash", lines, self.data / "postgresql.conf")
        run("mkdir", self.archive)

    def copy_of(self, other):
        """Becomes what another cluster is, which is not running."""
        self.remove()
        run("cp", "-a", other.data, self.data)
        run("cp", "-a", other.archive, self.archive)
        # What the copying left to be written must not be written while something is measured.
        run("sync", "-f", self.data)

    def remove(self):
        run("rm", "-rf", self.data, self.archive)

    def start(self, install=STRATA, wait=True, processor=None, **settings):
        """Settings: names with '__' for '.'; archiving unless archive_mode='off'. All of the server stays on `processor`
        where one is named."""
        settings.setdefault("archive_mode", "on")
        settings.setdefault("archive_command", f"cp %p {self.archive}/%f")
        options = shlex.join(f"-c{key.replace('__', '.')}={value}" for key, value in settings.items())
        run(*on_processor(processor), install / "bin/pg_ctl", "-D", self.data, "-l", self.log, "-s",
            "-w" if wait else "-W", "-t", "600", "-o", f"-p {self.port} {options}", "start", cwd=WORK)

    def stop(self, mode="fast"):
        run(STRATA / "bin/pg_ctl", "-D", self.data, "-s", "-w", "-t", "600", "-m", mode, "stop", cwd=WORK)

    @contextmanager
    def running(self, **settings):
        self.start(**settings)
        try:
            yield self
        finally:
            self.stop()

    def stop_after_failure(self):
        if self._pid_file().exists():
            self.stop("immediate")

    def rows(self, sql, *parameters):
        connection = connect(self.port)
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def value(self, sql, *parameters):
        return self.rows(sql, *parameters)[0][0]

    def wal_bytes(self, begin, end):
        return int(self.value("SELECT (%s::pg_lsn - %s::pg_lsn)::bigint", end, begin))

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for_history(self):
        wait_until("history has begun", lambda: self.value("SELECT horizon_lsn FROM strata.status()"), 600)

    def freeze(self):
        """Stops all processes of the server until thaw(). REQUIRES: running."""
        self._signal(signal.SIGSTOP)

    def thaw(self):
        self._signal(signal.SIGCONT)

    def _signal(self, what):
        postmaster = int(self._pid_file().read_text(encoding="ascii").split("\n", 1)[0])
        # Once it is stopped, no process comes to those that it has.
        os.kill(postmaster, what)
        for pid in children(postmaster):
            try:
                os.kill(pid, what)
            except ProcessLookupError:
                pass

    def _pid_file(self):
        return self.data / "postmaster.pid"

    def workers(self):
        """Process ids of strata's processes, by name."""
        return {name: pid for name, pid in self.rows(
            "SELECT backend_type, pid FROM pg_stat_activity WHERE backend_type LIKE 'strata %%'")}


TPCB, READ_ONLY = "tpcb-like", "select-only"


def pgbench_command(script, seconds, clients, port=PORT, log_prefix=None, install=STRATA):
    log = ["--log", f"--log-prefix={log_prefix}"] if log_prefix else []
    return [install / "bin/pgbench", "-h", SOCKETS, "-p", port, "-U", "postgres", "-n", "-b", script, "-M", "prepared",
            "-c", clients, "-j", min(2, clients), "-T", seconds, *log, "postgres"]


def pgbench(*arguments, processor=None, **options):
    """Runs pgbench and returns transactions a second."""
    out = run(*on_processor(processor), *pgbench_command(*arguments, **options), cwd=WORK)
    return float(re.search(r"^tps = ([0-9.]+)", out, re.MULTILINE).group(1))


def pgbench_latencies(log_prefix):
    """Latencies in milliseconds of every transaction that pgbench logged; the logs are deleted."""
    latencies = []
    for path in sorted(log_prefix.parent.glob(log_prefix.name + ".*")):
        with path.open(encoding="ascii") as lines:
            latencies.extend(int(line.split(" ", 3)[2]) / 1000 for line in lines)
        path.unlink()
    return latencies


def _stat(pid):
    """What follows the name in /proc/PID/stat: state, parent, ..."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as line:
        return line.read().rsplit(")", 1)[1].split()


def children(parent):
    result = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and int(_stat(name)[1]) == parent:
                result.append(int(name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return result


def write_bytes(pids):
    """Bytes that processes have had written to storage, by process id."""
    result = {}
    for pid in pids:
        with open(f"/proc/{pid}/io", encoding="ascii") as lines:
            result[pid] = next(int(line.split()[1]) for line in lines if line.startswith("write_bytes:"))
    return result


def cpu_ticks(pid):
    fields = _stat(pid)
    return int(fields[11]) + int(fields[12])
