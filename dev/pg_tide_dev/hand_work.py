"""PostgreSQL 18 and Kafka for work by hand: `python -m pg_tide_dev.hand_work up|down|clean`.

`up` leaves a process behind that owns the servers, so they have a guardian like any others; `down` ends it.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from pg_tide_dev import guardian
from pg_tide_dev.errors import DevError
from pg_tide_dev.kafka import start_kafka
from pg_tide_dev.places import cache_folder, programs_folder, temporary_base
from pg_tide_dev.postgres import start_postgres
from pg_tide_dev.processes import Run, runs

POSTGRES_MAJOR = 18
STOP_SECONDS = 30.0
READY_LINE = "ready"


def main(arguments: list[str] | None = None) -> int:
    """Run one of the commands; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m pg_tide_dev.hand_work", description=__doc__)
    parser.add_argument("command", choices=["up", "down", "clean", "serve"])
    command = parser.parse_args(arguments).command
    try:
        return {"up": up, "down": down, "clean": clean, "serve": serve}[command]()
    except DevError as error:
        print(error, file=sys.stderr)
        return 1


def up() -> int:
    """Start the servers, unless they run, and print their addresses."""
    if running_owner() is None:
        command = [sys.executable, "-m", "pg_tide_dev.hand_work", "serve"]
        with start_detached(command) as owner:
            ready = False
            try:
                ready = owner.stdout is not None and tell_until_ready(owner.stdout)
            finally:
                if not ready:  # interrupted, or it said what is wrong
                    owner.terminate()
            if not ready:
                return 1
            owner.returncode = 0  # it goes on: leaving the block must not wait for it
    state = json.loads(state_file().read_text(encoding="utf-8"))
    print(f"PostgreSQL  {state['postgres']}\nKafka       {state['kafka']}\nmake down stops them")
    return 0


def start_detached(command: list[str]) -> subprocess.Popen[str]:
    """Start a process that outlives this one; it holds none of this one's outputs open."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=pipe,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def tell_until_ready(lines: Iterable[str]) -> bool:
    """Pass on what the owner says; False when it ends before the servers are ready."""
    for line in lines:
        if line.strip() == READY_LINE:
            return True
        print(line, end="", flush=True)
    return False


def serve() -> int:
    """Own the servers until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Run() as run:
        print("starting PostgreSQL and Kafka", flush=True)
        postgres = start_postgres(run, POSTGRES_MAJOR)
        kafka = start_kafka(run, progress=lambda line: print(line, flush=True))
        state = {"pid": os.getpid(), "postgres": postgres.dsn(), "kafka": kafka.bootstrap}
        write_state(state)
        try:
            print(READY_LINE, flush=True)
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), sys.stdout.fileno())
                os.dup2(nowhere.fileno(), sys.stderr.fileno())
            while True:
                signal.pause()
        finally:
            state_file().unlink(missing_ok=True)


def down() -> int:
    """End the owner of the servers and wait until everything is gone."""
    owner = running_owner()
    if owner is None:
        print("nothing is up")
        return 0
    os.kill(owner, signal.SIGTERM)
    if guardian.wait_gone([owner], STOP_SECONDS):
        raise DevError(f"process {owner} did not end within {STOP_SECONDS} s")
    print("stopped")
    return 0


def clean() -> int:
    """Stop the servers; remove downloads and copied programs, unless another run uses them."""
    if running_owner() is not None:
        down()
    if any(alive for _, alive in runs(temporary_base())):
        print("downloads and copied programs are kept: a run that uses them is alive")
        return 0
    for kind in ("kafka", "apicurio", "judges"):
        for folder in cache_folder().glob(f"{kind}-*"):
            shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(programs_folder(), ignore_errors=True)
    return 0


def running_owner() -> int | None:
    """The process that owns the servers; None when none is up."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        pid = int(json.loads(state_file().read_text(encoding="utf-8"))["pid"])
        if guardian.is_alive(pid):
            return pid
    return None


def write_state(state: dict[str, object]) -> None:
    """Write the state for the caller's eyes only: the administrator's password is in it."""
    path = state_file()
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(json.dumps(state), encoding="utf-8")


def state_file() -> Path:
    """Where the addresses and the owner's process id stand."""
    return cache_folder() / "up.json"


if __name__ == "__main__":
    sys.exit(main())
