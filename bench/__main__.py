"""python3 -m bench [ROW...]: measures rows, by default all, in the order that lets them share what they need."""
import os
import signal
import sys
import time
import traceback

from . import compare, ingest, lookups, present, rebuild, report, scan, size, versus
from .cluster import Cluster
from .settings import OUT, QUICK, WORK
from .shell import run, say

ROWS = {
    "present": present.measure,
    "size": size.measure,
    "lookup": lookups.measure,
    "scan": scan.measure,
    "rebuild": rebuild.measure,
    "ingest": ingest.measure,
    "mariadb": versus.measure,
}


def stop_servers():
    for data in WORK.glob("*/postmaster.pid"):
        Cluster(data.parent.name).stop_after_failure()


def main(names):
    if names and names[0] == "compare" and len(names) == 2:
        compare.measure(names[1])
        return 0
    unknown = [name for name in names if name not in ROWS]
    if unknown:
        sys.exit(f"usage: scripts/bench.sh [{'|'.join(ROWS)}]...\n       scripts/bench.sh compare INSTALL")
    load, begin = os.getloadavg()[0], time.monotonic()
    figures, errors, raw, seconds = [], {}, {}, {}
    for name, measure in ROWS.items():
        if names and name not in names:
            continue
        say(f"--- {name}")
        row_begin = time.monotonic()
        try:
            row_figures, raw[name] = measure()
            figures += row_figures
        except Exception as error:  # a row that fails must not take the others with it
            traceback.print_exc()
            errors[name] = str(error).splitlines()[0] if str(error) else repr(error)
            stop_servers()
        seconds[name] = round(time.monotonic() - row_begin, 1)
    about = report.facts(load, time.monotonic() - begin, versus.versions())
    raw["seconds"] = seconds
    complete = not names and not QUICK and not errors
    print(report.write(figures, errors, raw, about, complete))
    say(f"seconds of each row: {seconds}")
    say(f"results: {OUT}/results.json" + (", doc/performance.md" if complete else ", doc/performance.md left as it is"))
    return 1 if errors else 0


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
try:
    status = main(sys.argv[1:])
finally:
    stop_servers()
    versus.stop()
    run("rm", "-rf", WORK)
sys.exit(status)
