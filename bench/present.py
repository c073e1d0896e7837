"""What strata costs the present: pgbench with strata on, against the same server with strata off."""
from pathlib import Path

from .cluster import READ_ONLY, TPCB, Cluster, pgbench, pgbench_latencies
from .figures import Figure, median, number, percentile
from .history import LOAD_SETTINGS, history
from .settings import POSTGRESQL, SIZES, WORK
from .shell import say
from .template import template
from .turns import tps_in_turns

OTHER_PORT = 5433
READ_TURN_SECONDS = 0.125
TPCB_TURN_SECONDS = 1
# The clock goes on while a server is frozen, half of the time: it has a checkpoint every 30 s of its own, like history.
TPCB_SETTINGS = {"checkpoint_timeout": "60s"}
# Of each side. Which memory each server gets matters more than anything else, and so would which processor each session
# gets: new servers draw lots again, and both servers and pgbench share one processor.
READ_ROUND_SECONDS = 1
READ_ROUNDS_OF_A_START = 2
READ_PROCESSOR = 0


def _prewarm(cluster):
    """The other side ran for minutes: this one's tables may have left the system's cache."""
    cluster.rows("SELECT pg_prewarm(oid) FROM pg_class WHERE relname ~ '^pgbench_' AND relkind IN ('r', 'i')")


def _read_only(off, on):
    """Transactions a second of each, in turns. REQUIRES: neither is running, nor has anything to do when it is."""
    rounds = []
    while len(rounds) < max(1, SIZES.read_seconds // READ_ROUND_SECONDS):
        with off.running(processor=READ_PROCESSOR, **LOAD_SETTINGS), on.running(processor=READ_PROCESSOR):
            for cluster in (off, on):
                _prewarm(cluster)
                pgbench(READ_ONLY, 1, SIZES.clients, port=cluster.port)
            for _ in range(READ_ROUNDS_OF_A_START):
                order = (off, on) if len(rounds) % 2 == 0 else (on, off)
                tps = tps_in_turns(READ_ONLY, READ_ROUND_SECONDS, order, READ_TURN_SECONDS, processor=READ_PROCESSOR)
                rounds.append({side: {"read_tps": one} for side, one in tps.items()})
    say("present, pgbench -S: " + ", ".join(number(one["on"]["read_tps"] / one["off"]["read_tps"]) for one in rounds))
    return rounds


def tpcb_round(number_, off, on):
    """The side that begins alternates. REQUIRES: neither is running."""
    clusters = (off, on) if number_ % 2 == 0 else (on, off)
    prefixes = {one.name: Path(WORK / f"latency.{one.name}.{number_}") for one in clusters}
    with off.running(**TPCB_SETTINGS), on.running(**TPCB_SETTINGS):
        for one in clusters:
            _prewarm(one)
        tps = tps_in_turns(TPCB, SIZES.round_seconds, clusters, TPCB_TURN_SECONDS, whole_servers=True,
                           log_prefixes=prefixes)
    on.note_load(SIZES.round_seconds)
    result = {}
    for one in clusters:
        # Whatever takes longer was under way when its server was frozen.
        latencies = [ms for ms in pgbench_latencies(prefixes[one.name]) if ms < 1000 * TPCB_TURN_SECONDS]
        result[one.name] = {"tpcb_tps": tps[one.name], "p99_ms": percentile(latencies, 99),
                            "p50_ms": median(latencies)}
        say(f"present, {one.name}: " + ", ".join(f"{key} {number(value)}" for key, value in result[one.name].items()))
    return result


def _stock(off):
    """PostgreSQL as it is on the cluster of strata off, for information."""
    def tps(script, processor):
        with off.running(install=POSTGRESQL, processor=processor, **LOAD_SETTINGS):
            _prewarm(off)
            return pgbench(script, SIZES.stock_seconds, SIZES.clients, port=off.port, install=POSTGRESQL,
                           processor=processor)

    return {"read_tps": tps(READ_ONLY, READ_PROCESSOR), "tpcb_tps": tps(TPCB, None)}


def measure():
    history.begin()
    off = Cluster("off", OTHER_PORT)
    off.copy_of(template.get())
    with off.running(**LOAD_SETTINGS):
        # As much as the other cluster has seen already.
        pgbench(TPCB, history.loaded_seconds, SIZES.clients, port=off.port)
        off.rows("CHECKPOINT")
    with history.running():
        history.settle()
        history.rows("CHECKPOINT")
    reads = _read_only(off, history)
    rounds = [tpcb_round(number_, off, history) for number_ in range(SIZES.rounds)]
    say("present: PostgreSQL as it is")
    stock = _stock(off)
    off.remove()
    return _figures(rounds, reads, stock), {"rounds": rounds, "reads": reads, "stock": stock}


def _ratio(what, results, key, unit, target):
    values = [result["on"][key] / result["off"][key] for result in results]
    on, off = (median([result[side][key] for result in results]) for side in ("on", "off"))
    detail = (f"on {number(on)} {unit}, off {number(off)} {unit}; ratio of each round "
              + ", ".join(number(value) for value in values))
    return Figure(what, "strata off", median(values), "", target, detail)


def _against_stock(what, results, key, stock):
    off = median([result["off"][key] for result in results])
    return Figure(what, "PostgreSQL as it is", off / stock[key], "", "",
                  f"{number(stock[key])} tps, {SIZES.stock_seconds} s once")


def _figures(rounds, reads, stock):
    size = f"scale {SIZES.scale}, {SIZES.clients} clients"
    return [
        _ratio(f"TPS, pgbench TPC-B ({size}, {SIZES.rounds} rounds of {SIZES.round_seconds} s each, in turns of "
               f"{TPCB_TURN_SECONDS} s)", rounds, "tpcb_tps", "tps", ">= 0.95"),
        _ratio(f"TPS, pgbench -S ({SIZES.read_seconds} s each, in turns of {READ_TURN_SECONDS} s, on one processor)", reads,
               "read_tps", "tps", ">= 0.99"),
        _ratio("99th percentile of TPC-B latency", rounds, "p99_ms", "ms", "<= 1.10"),
        _against_stock("TPS, pgbench TPC-B, strata off", rounds, "tpcb_tps", stock),
        _against_stock("TPS, pgbench -S, strata off", reads, "read_tps", stock),
    ]
