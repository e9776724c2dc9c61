"""The small process that cleans up after a run, however the run ended.

Started once per run, in a session of its own, with a pipe as standard input whose other end only the run's
process holds. End of file means the run is over or dead: every recorded process is ended, then the run's
folder is removed. A signal on the parent's death (PR_SET_PDEATHSIG) would not be enough: it is lost when a
process changes its user, and it removes no folder.

Run as a plain file with nothing but the standard library: it starts fast and cannot fail on an import.
A process is recorded as a file `pids/<number>.<signal>` holding its pid; the signal is the one that ends it
cleanly: PostgreSQL removes its shared memory on QUIT and leaves it behind on KILL. A process records itself, then
looks whether its record is still there, then becomes the server; here the records are moved away, then read. So
either it is read here, or it sees that it is too late.
"""

import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

RECORDS = "pids"
PARENT_CHECK_SECONDS = 1.0
CLEAN_END_SECONDS = 6.0  # PostgreSQL itself kills its children five seconds after an immediate shutdown
KILLED_END_SECONDS = 5.0
POLL_SECONDS = 0.01


def wait_for_end_of_run(parent: int) -> None:
    """Return when the pipe is closed or the parent is gone.

    The second condition matters when a forked child of the run has inherited the pipe and outlives it.
    """
    while os.getppid() == parent:
        readable, _, _ = select.select([0], [], [], PARENT_CHECK_SECONDS)
        if readable and not os.read(0, 4096):
            return


def is_alive(pid: int) -> bool:
    """Whether the process exists and is more than a zombie that nobody has waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        state = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return True
    return state[0] != "Z"


def recorded(records: Path) -> dict[int, signal.Signals]:
    """The pids in a folder of records with the signal that ends each."""
    found: dict[int, signal.Signals] = {}
    for record in records.glob("*.*"):
        text = record.read_text(encoding="ascii").strip()
        if text.isdecimal() and int(text) > 1:
            found[int(text)] = signal.Signals[f"SIG{record.suffix[1:]}"]
    return found


def send(pid: int, number: signal.Signals) -> None:
    """Signal a process that may be gone already."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def wait_gone(pids: list[int], seconds: float) -> list[int]:
    """Wait until none of the pids is alive; returns those that still are."""
    deadline = time.monotonic() + seconds
    alive = [pid for pid in pids if is_alive(pid)]
    while alive and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        alive = [pid for pid in alive if is_alive(pid)]
    return alive


def end_processes(records: Path) -> None:
    """End every recorded process, cleanly, then by force; a paused one is resumed so that it can obey."""
    processes = recorded(records)
    for pid, number in processes.items():
        send(pid, number)
        send(pid, signal.SIGCONT)
    for pid in wait_gone(list(processes), CLEAN_END_SECONDS):
        send(pid, signal.SIGKILL)
    wait_gone(list(processes), KILLED_END_SECONDS)


def clean(folder: Path) -> None:
    """End the run's processes and remove its folder."""
    closed = folder / f"{RECORDS}.closed"
    if not closed.exists():
        (folder / RECORDS).rename(closed)
    end_processes(closed)
    shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    """Guard the run whose folder is the first argument and whose process id is the second."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        wait_for_end_of_run(int(sys.argv[2]))
    finally:
        clean(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
