"""The same updates and questions for strata and for MariaDB's system-versioned tables."""
import random
from dataclasses import dataclass, field

from . import cluster as pg
from .cluster import Cluster
from .figures import Figure, median, number
from .history import HistoryCluster, LOAD_SETTINGS
from .mariadb import MariaDB
from .settings import SIZES, STRATA
from .shell import run, say, timed
from .tpcb import run_tpcb

SCALE = SIZES.versus_scale
LOOKUPS_IN_A_SESSION = 20

mariadb = MariaDB()
_versions = {}


def stop():
    mariadb.stop()


def versions():
    found = {"PostgreSQL": run(STRATA / "bin/postgres", "--version").split()[-1], **_versions}
    return ", ".join(f"{name} {version}" for name, version in found.items())


@dataclass
class Times:
    """Milliseconds of each question."""

    first: list = field(default_factory=list)  # an account's row at a new moment, in a new session
    further: list = field(default_factory=list)  # other accounts' rows at that moment
    again: list = field(default_factory=list)  # the same rows again
    hot_row: list = field(default_factory=list)  # the row of a branch, which every transaction there has changed
    hot_table: list = field(default_factory=list)  # all rows of branches

    def ask(self, cursor, rand, as_of=""):
        """All but the first, in a session that has asked that one."""
        accounts = [_account(rand, as_of) for _ in range(LOOKUPS_IN_A_SESSION)]
        self.further += [timed(cursor, account)[0] for account in accounts]
        self.again += [timed(cursor, account)[0] for account in accounts]
        self.hot_row.append(timed(cursor, _branch(rand, as_of))[0])
        self.hot_table.append(timed(cursor, f"SELECT sum(bbalance) FROM pgbench_branches {as_of}")[0])


def _account(rand, as_of=""):
    return f"SELECT abalance FROM pgbench_accounts {as_of} WHERE aid = {rand.randint(1, 100_000 * SCALE)}"


def _branch(rand, as_of=""):
    return f"SELECT bbalance FROM pgbench_branches {as_of} WHERE bid = {rand.randint(1, SCALE)}"


class Strata:
    name = "strata"

    def __init__(self):
        self.off = Cluster("versus-off")
        self.on = HistoryCluster("versus-on")
        self.transactions = 0

    def prepare(self):
        self.off.create()
        with self.off.running():
            run(STRATA / "bin/pgbench", "-h", pg.SOCKETS, "-U", "postgres", "-i", "-q", "-s", SCALE, "postgres")
            self.off.rows("CREATE EXTENSION strata")
            # So small a history would else lie in shared memory for the most part, and not be compacted.
            self.off.rows("ALTER SYSTEM SET strata.memtable_size = '4MB'")
        self.on.copy_of(self.off)
        with self.on.running():
            self.on.note_baseline()

    def load(self, history, seconds, seed):
        """Transactions a second."""
        cluster = self.on if history else self.off
        with cluster.running(**LOAD_SETTINGS):
            count = run_tpcb(pg.connect, SCALE, SIZES.clients, seconds, seed)
        if history:
            self.transactions += count
        return count / seconds

    def bytes_for_each_transaction(self):
        with self.on.running():
            self.on.settle()
            end = self.on.value("SELECT ingested_lsn FROM strata.status()")
            flushed = self.on.value("SELECT max(lsn_end) FROM strata.layers() WHERE NOT image")
            kept = int(self.on.value("SELECT sum(bytes) FROM strata.layers()")) - self.on.baseline_bytes
            # The layer files hold the versions of this part of the transactions.
            part = self.on.wal_bytes(self.on.horizon, flushed) / self.on.wal_bytes(self.on.horizon, end)
        return kept / (self.transactions * part)

    def lookups(self):
        """Milliseconds, by the names that _measure_one() uses."""
        times = Times()
        rand = random.Random(5)
        with self.on.running():
            self.on.settle()
            for moment in self.on.moments(SIZES.lookups, 5):
                session = pg.connect()
                cursor = session.cursor()
                travel = f"SET strata.travel_time = '{moment}'"
                times.first.append(timed(cursor, travel, _account(rand))[0])
                times.ask(cursor, rand)
                session.close()
        return times

    def finish(self):
        self.on.remove()
        self.off.remove()


class SystemVersioned:
    name = "MariaDB"

    def __init__(self):
        self.transactions = 0
        self.bytes_before = 0
        self.begin = self.end = None

    def prepare(self):
        mariadb.start()
        _versions["MariaDB"] = mariadb.version()
        mariadb.create_tables("plain", False, SCALE)
        mariadb.create_tables("versioned", True, SCALE)
        self.bytes_before = mariadb.bytes_of("versioned")
        self.begin = self._now()

    @staticmethod
    def _now():
        return float(mariadb.rows("mysql", "SELECT UNIX_TIMESTAMP(NOW(6))")[0][0])

    def load(self, history, seconds, seed):
        database = "versioned" if history else "plain"
        count = run_tpcb(lambda: mariadb.connect(database), SCALE, SIZES.clients, seconds, seed)
        if history:
            self.transactions += count
        self.end = self._now()
        return count / seconds

    def bytes_for_each_transaction(self):
        return (mariadb.bytes_of("versioned") - self.bytes_before) / self.transactions

    def lookups(self):
        times = Times()
        rand = random.Random(5)
        for _ in range(SIZES.lookups):
            as_of = f"FOR SYSTEM_TIME AS OF FROM_UNIXTIME({rand.uniform(self.begin, self.end):.6f})"
            session = mariadb.connect("versioned")
            cursor = session.cursor()
            times.first.append(timed(cursor, _account(rand, as_of))[0])
            times.ask(cursor, rand, as_of)
            session.close()
        return times

    def finish(self):
        mariadb.stop()


def _measure_one(system):
    say(f"mariadb: {system.name}")
    system.prepare()
    ratios, rates = [], []
    for round_ in range(SIZES.versus_rounds):
        rate = {}
        for on in (False, True) if round_ % 2 == 0 else (True, False):
            rate[on] = system.load(on, SIZES.versus_seconds, round_)
        rates.append({"on": rate[True], "off": rate[False]})
        ratios.append(rate[True] / rate[False])
    size = system.bytes_for_each_transaction()
    times = system.lookups()
    result = {"ratio": median(ratios), "rates": rates, "bytes_each": size, "transactions": system.transactions,
              "ms": {name: median(values) for name, values in vars(times).items()}}
    system.finish()
    return result


def measure():
    results = {system.name: _measure_one(system) for system in (SystemVersioned(), Strata())}
    ours, theirs = results["strata"], results["MariaDB"]

    def times_faster(what, key):
        a, b = ours["ms"][key], theirs["ms"][key]
        return Figure(what, "MariaDB, FOR SYSTEM_TIME AS OF", b / a, "times faster", "> 1",
                      f"{number(a)} ms, {number(b)} ms")

    rates = [number(median([rate[side] for rate in results[name]["rates"]]))
             for name in ("strata", "MariaDB") for side in ("on", "off")]
    figures = [
        times_faster(f"primary-key lookup in the past (TPC-B scale {SCALE}), first in a session, with SET", "first"),
        times_faster("the same, further rows of that moment", "further"),
        times_faster("the same rows again", "again"),
        times_faster("the same, a row that changes often (pgbench_branches)", "hot_row"),
        times_faster("all rows of a table that changes often (sum over pgbench_branches)", "hot_table"),
        Figure("update throughput with history on relative to off, the same client", "MariaDB",
               ours["ratio"] / theirs["ratio"], "", "> 1",
               f"{number(ours['ratio'])}, {number(theirs['ratio'])}; transactions a second on and off: strata "
               f"{rates[0]}, {rates[1]}, MariaDB {rates[2]}, {rates[3]}"),
        Figure("bytes of history for each transaction", "MariaDB", ours["bytes_each"] / theirs["bytes_each"], "", "< 1",
               f"{number(ours['bytes_each'])}, {number(theirs['bytes_each'])}; {ours['transactions']:,} and "
               f"{theirs['transactions']:,} transactions"),
    ]
    return figures, results
