"""Commands, as the user that servers run as."""
import os
import shlex
import subprocess
import sys
import time

SERVER_USER = "strata"
_begin = time.monotonic()


def say(text):
    print(f">> {time.monotonic() - _begin:6.0f} s  {text}", file=sys.stderr, flush=True)


def as_server_user(arguments):
    """A server refuses to run as root: scripts/bench.sh has created the user."""
    arguments = [str(argument) for argument in arguments]
    if os.geteuid() != 0:
        return arguments
    names = ["HOME=/nonexistent", f"USER={SERVER_USER}", f"LOGNAME={SERVER_USER}"]
    return ["runuser", "-u", SERVER_USER, "--", "env", *names, *arguments]


def on_processor(processor):
    """What to put before a command so that it, and all that it starts, stays on that processor; None: on any."""
    return [] if processor is None else ["taskset", "--cpu-list", processor]


def run(*arguments, cwd="/"):
    """Runs a command as the server user and returns what it printed; RuntimeError with its errors when it fails."""
    done = subprocess.run(as_server_user(arguments), cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"'{shlex.join(map(str, arguments))}' failed: {done.stderr.strip()} {done.stdout[-500:]}")
    return done.stdout


def pipe(script, *arguments):
    """A pipeline of bash over arguments $1, $2 ..."""
    return run("bash", "-euo", "pipefail", "-c", script, "bash", *arguments)


def timed(cursor, *statements):
    """(milliseconds until the last statement's first row is there, that row)"""
    begin = time.perf_counter()
    for statement in statements:
        cursor.execute(statement)
    row = cursor.fetchone()
    return (time.perf_counter() - begin) * 1000, row


def wait_until(what, condition, seconds=120, step=0.02):
    """The first true value of condition()."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise RuntimeError(f"gave up waiting until {what}")
        time.sleep(step)
