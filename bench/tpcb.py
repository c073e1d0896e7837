"""The transactions of pgbench's TPC-B, driven alike against PostgreSQL and MariaDB."""
import multiprocessing
import random
import time

import MySQLdb

# MariaDB rolls a transaction back that another one and it wait for each other for: rows that are versioned have more
# locks. It does not count, and the client goes on.
DEADLOCK = 1213

STATEMENTS = (
    "BEGIN",
    "UPDATE pgbench_accounts SET abalance = abalance + {delta} WHERE aid = {aid}",
    "SELECT abalance FROM pgbench_accounts WHERE aid = {aid}",
    "UPDATE pgbench_tellers SET tbalance = tbalance + {delta} WHERE tid = {tid}",
    "UPDATE pgbench_branches SET bbalance = bbalance + {delta} WHERE bid = {bid}",
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) "
    "VALUES ({tid}, {bid}, {aid}, {delta}, CURRENT_TIMESTAMP)",
    "COMMIT",
)


def _client(connect, scale, seed, end, counts):
    rand = random.Random(seed)
    cursor = connect().cursor()
    count = 0
    while time.monotonic() < end:
        values = {"aid": rand.randint(1, 100_000 * scale), "tid": rand.randint(1, 10 * scale),
                  "bid": rand.randint(1, scale), "delta": rand.randint(-5000, 5000)}
        try:
            for statement in STATEMENTS:
                cursor.execute(statement.format(**values))
        except MySQLdb.OperationalError as error:
            if error.args[0] != DEADLOCK:
                raise
            continue
        count += 1
    counts.put(count)


def run_tpcb(connect, scale, clients, seconds, seed):
    """Runs the transactions and returns how many there were."""
    context = multiprocessing.get_context("fork")
    counts = context.SimpleQueue()
    end = time.monotonic() + seconds
    processes = [context.Process(target=_client, args=(connect, scale, seed * 100 + client, end, counts))
                 for client in range(clients)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a client of TPC-B failed")
    return sum(counts.get() for _ in processes)
