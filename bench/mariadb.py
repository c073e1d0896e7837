"""A MariaDB server of our own: Debian's, on a socket, as the server user."""
import subprocess

import MySQLdb

from .settings import LOGS, SHARED_BUFFERS_MB, WORK
from .shell import as_server_user, run, wait_until

DATA = WORK / "mariadb"
SOCKET = WORK / "mariadb.sock"
VERSIONED = ("pgbench_accounts", "pgbench_tellers", "pgbench_branches")

# As PostgreSQL's server: the same memory for pages, a commit is durable when it returns, no log for replication.
SETTINGS = (
    f"--innodb-buffer-pool-size={SHARED_BUFFERS_MB}M", "--innodb-log-file-size=1G",
    "--innodb-flush-log-at-trx-commit=1", "--skip-log-bin", "--skip-networking", "--max-connections=40",
    "--default-time-zone=+00:00",
)

TABLES = """
CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84)) {};
CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84)) {};
CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88)) {};
CREATE TABLE pgbench_history (tid int, bid int, aid int, delta int, mtime timestamp(6), filler char(22));
INSERT INTO pgbench_accounts SELECT seq, (seq - 1) DIV 100000 + 1, 0, '' FROM seq_1_to_{accounts};
INSERT INTO pgbench_tellers SELECT seq, (seq - 1) DIV 10 + 1, 0, '' FROM seq_1_to_{tellers};
INSERT INTO pgbench_branches SELECT seq, 0, '' FROM seq_1_to_{branches}
"""


class MariaDB:
    def __init__(self):
        self.process = None

    def start(self):
        run("mariadb-install-db", "--no-defaults", f"--datadir={DATA}", "--auth-root-authentication-method=normal",
            "--skip-test-db")
        log = (LOGS / "mariadb.log").open("w", encoding="utf-8")
        self.process = subprocess.Popen(
            as_server_user(["/usr/sbin/mariadbd", "--no-defaults", f"--datadir={DATA}", f"--socket={SOCKET}",
                            f"--pid-file={WORK}/mariadb.pid", *SETTINGS]), stdout=log, stderr=log, cwd="/")
        wait_until("MariaDB takes connections", self._answers, 120)

    def _answers(self):
        if self.process.poll() is not None:
            raise RuntimeError("MariaDB has ended; see log/mariadb.log")
        try:
            self.connect("mysql").close()
        except MySQLdb.OperationalError:
            return False
        return True

    def stop(self):
        if self.process is not None and self.process.poll() is None:
            self.connect("mysql").cursor().execute("SHUTDOWN")
            self.process.wait(120)
        self.process = None

    @staticmethod
    def connect(database):
        return MySQLdb.connect(unix_socket=str(SOCKET), user="root", database=database, autocommit=True)

    def rows(self, database, sql):
        connection = self.connect(database)
        try:
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor.fetchall()
        finally:
            connection.close()

    def create_tables(self, database, versioned, scale):
        self.rows("mysql", f"CREATE DATABASE {database}")
        versioning = "WITH SYSTEM VERSIONING" if versioned else ""
        text = TABLES.replace("{}", versioning).format(accounts=100_000 * scale, tellers=10 * scale, branches=scale)
        for statement in text.split(";"):
            self.rows(database, statement)

    @staticmethod
    def bytes_of(database):
        """Of the tables that are versioned, as they are on disk."""
        return sum((DATA / database / f"{table}.ibd").stat().st_size for table in VERSIONED)

    def version(self):
        return self.rows("mysql", "SELECT version()")[0][0]
