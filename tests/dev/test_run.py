"""A run: whatever happens to it, nothing is left behind."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from pg_tide_dev import guardian
from pg_tide_dev.errors import ServerFailedError
from pg_tide_dev.postgres import start_postgres
from pg_tide_dev.processes import LOWEST_EPHEMERAL_PORT, Run, free_port, remove_left_overs

HERE = Path(__file__).parent


def wait_until(condition: object, seconds: float = 60) -> None:
    """Poll a condition; fail when it does not come true."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def shared_memory_segments() -> set[str]:
    """Ids of the System V segments of this machine."""
    table = Path("/proc/sysvipc/shm").read_text(encoding="ascii").splitlines()
    return {line.split()[1] for line in table[1:]}


def processes_of(folder: str) -> list[int]:
    """Processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if folder.encode() in command and guardian.is_alive(int(entry.name)):
            found.append(int(entry.name))
    return found


def test_a_killed_test_run_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    """kill -9 of pytest ends PostgreSQL, Kafka and a paused process, and removes their folder and shared memory."""
    report = tmp_path / "report.json"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "killed_run.py")]
    environment = {**os.environ, "PG_TIDE_TEST_REPORT": str(report), "PG_TIDE_DEV_FROM": "packages"}
    with (tmp_path / "output").open("wb") as output:
        tests = subprocess.Popen(command, cwd=HERE.parents[1], env=environment, stdout=output, stderr=output)
    try:
        wait_until(lambda: report.exists() or tests.poll() is not None)
        assert tests.poll() is None, (tmp_path / "output").read_text(encoding="utf-8")
        state = json.loads(report.read_text(encoding="utf-8"))
        assert all(guardian.is_alive(pid) for pid in state["pids"])
        assert state["segment"] in shared_memory_segments()
    finally:
        tests.kill()
        tests.wait()
    wait_until(lambda: not Path(state["folder"]).exists())
    assert [pid for pid in state["pids"] if guardian.is_alive(pid)] == []
    wait_until(lambda: processes_of(state["folder"]) == [])
    assert state["segment"] not in shared_memory_segments()


def test_a_finished_run_leaves_no_process_and_no_folder() -> None:
    """The ordinary end of a run removes what it started."""
    with Run() as run:
        process = run.start(["sleep", "600"], log=run.folder / "sleep.log")
        assert guardian.is_alive(process.pid)
    assert not guardian.is_alive(process.pid)
    assert not run.folder.exists()


def test_a_run_whose_guardian_was_killed_too_is_cleaned_by_the_next(tmp_path: Path) -> None:
    """Folders of runs with no living owner are removed, those of living ones are not."""
    dead, alive = tmp_path / "pg-tide-run-dead", tmp_path / "pg-tide-run-alive"
    gone = subprocess.Popen(["true"])
    gone.wait()
    sleeper = subprocess.Popen(["sleep", "600"])
    for folder, owner in ((dead, gone.pid), (alive, os.getpid())):
        (folder / guardian.RECORDS).mkdir(parents=True)
        (folder / "owners").write_text(f"{owner} {owner}", encoding="ascii")
        (folder / guardian.RECORDS / "1.KILL").write_text(
            str(sleeper.pid) if folder == dead else "", encoding="ascii"
        )
    remove_left_overs(tmp_path)
    assert sleeper.wait(10) == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["pg-tide-run-alive"]


def test_a_program_that_fails_is_reported_with_what_it_said(dev_run: Run) -> None:
    """Nobody has to look for a log."""
    with pytest.raises(ServerFailedError, match=r"ended with 3\n.*no such thing"):
        dev_run.call(["sh", "-c", "echo no such thing >&2; exit 3"])


def test_a_free_port_is_free_and_never_one_of_outgoing_connections() -> None:
    """A client that reconnects can't take the port of a server that is being restarted."""
    ports = {free_port() for _ in range(50)}
    assert max(ports) < LOWEST_EPHEMERAL_PORT
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", next(iter(ports))))


@pytest.mark.parametrize(("ci", "outcome"), [("true", "1 error"), ("", "1 skipped")])
def test_a_missing_server_fails_under_ci_and_skips_elsewhere(ci: str, outcome: str) -> None:
    """Under CI no test may vanish unnoticed."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE / "needs_server.py")]
    environment = {**os.environ, "PG_TIDE_DEV_FROM": "env", "CI": ci}
    environment.pop("PG_TIDE_TEST_POSTGRES_URL", None)
    finished = subprocess.run(
        command, cwd=HERE.parents[1], env=environment, capture_output=True, text=True, check=False
    )
    assert outcome in finished.stdout.splitlines()[-1]
    assert "PostgreSQL 18 not found (tried: env)" in finished.stdout


def test_a_server_is_reachable_from_a_home_that_nobody_may_enter(dev_run: Run) -> None:
    """The data of servers lies outside the caller's folders, in one that only its user can read."""
    server = start_postgres(dev_run, 18, own=True)
    with psycopg.connect(server.dsn()) as connection:
        row = connection.execute("show data_directory").fetchone()
    assert row is not None
    data = Path(row[0])
    assert data.is_relative_to(dev_run.folder)
    assert data.stat().st_mode & 0o077 == 0
    server.kill()
