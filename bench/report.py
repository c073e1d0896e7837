"""The table for readers and the JSON for programs."""
import datetime
import json
import os
import platform
from dataclasses import asdict, fields
from pathlib import Path

from .cluster import COMMON
from .figures import number
from .history import LOAD_SETTINGS
from .settings import OUT, QUICK, ROOT, SIZES
from .shell import run

HEAD = """# Performance

<!-- Written by `make bench`; do not edit. -->

Every figure is of one run on one machine, and a ratio where there is something to compare with.
[bench/README.md](../bench/README.md) says how each is measured.
"""


def _first_line_with(path, word):
    for line in Path(path).read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(word):
            return line.split(":", 1)[1].strip()
    return "unknown"


def _machine():
    gib = int(_first_line_with("/proc/meminfo", "MemTotal").split()[0]) / 1024 / 1024
    return (f"{os.cpu_count()} cores ({_first_line_with('/proc/cpuinfo', 'model name')}), {gib:.0f} GiB, "
            f"Linux {platform.release()}")


def _commit():
    try:
        return run("git", "-c", "safe.directory=*", "-C", ROOT, "describe", "--always", "--dirty").strip()
    except RuntimeError:
        return "unknown"


# What the targets are about; a run of other sizes says so.
ASKED = {"scale": 50, "clients": 4, "rounds": 3, "round_seconds": 120, "history_seconds": 600}


def _differences():
    other = [f"{name} {getattr(SIZES, name)} instead of {asked}" for name, asked in ASKED.items()
             if getattr(SIZES, name) != asked]
    return ", ".join(other) or "none"


def facts(load, seconds, versions):
    return {
        "date": datetime.date.today().isoformat(),
        "machine": _machine(),
        "load before the run": f"{load:.2f}",
        "versions": versions,
        "commit": _commit(),
        "length of the run": f"{seconds / 60:.1f} minutes",
        "settings": f"shared_buffers = {COMMON['shared_buffers']}, checkpoint_timeout = "
                    f"{LOAD_SETTINGS['checkpoint_timeout']} of a server's own time (ingest: default), all else default",
        "sizes": ", ".join(f"{field.name} {getattr(SIZES, field.name)}" for field in fields(SIZES))
                 + (" (quick: no conclusions)" if QUICK else ""),
        "sizes other than the targets name, to keep the run below 25 minutes": _differences(),
    }


def _verdict(figure):
    return {None: "", True: "met", False: "**missed**"}[figure.met]


def table(figures, errors):
    lines = ["| what | against | must reach | measured | | details |", "|---|---|---|---|---|---|"]
    for figure in figures:
        measured = f"{number(figure.value)} {figure.unit}".strip()
        cells = (figure.what, figure.against, figure.target, measured, _verdict(figure), figure.detail)
        lines.append("| " + " | ".join(cells) + " |")
    lines += [f"| {name} | | | not measured | **missed** | {error} |" for name, error in errors.items()]
    return "\n".join(lines) + "\n"


def write(figures, errors, raw, about, complete):
    """build/bench always; doc/performance.md when the run was complete."""
    text = HEAD + "\n" + "".join(f"* {key}: {value}\n" for key, value in about.items()) + "\n" + table(figures, errors)
    (OUT / "performance.md").write_text(text, encoding="utf-8")
    results = {"about": about, "errors": errors, "raw": raw,
               "figures": [{**asdict(figure), "met": figure.met} for figure in figures]}
    (OUT / "results.json").write_text(json.dumps(results, indent=1, default=str) + "\n", encoding="utf-8")
    if complete:
        (ROOT / "doc" / "performance.md").write_text(text, encoding="utf-8")
    return text
