"""A run, its processes and free ports.

A `Run` has a folder and a guardian. Everything that is started is recorded in the folder before it becomes
the server, by a line of shell that writes its own pid and then turns into the program: there is no moment in
which a server runs unrecorded.
"""

import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from pg_tide_dev import guardian
from pg_tide_dev.errors import ServerFailedError
from pg_tide_dev.places import give, server_user, temporary_base

FOLDER_PREFIX = "pg-tide-run-"
# $0 is the record: a run that is being cleaned up has moved it away after reading it, and nothing starts any more
RECORD_AND_BECOME = 'echo $$ >&0 && [ -e "$0" ] && exec "$@" </dev/null'
POLL_SECONDS = 0.02
RECORD_POLL_SECONDS = 0.001
LOG_TAIL_LINES = 30
LOWEST_PORT, LOWEST_EPHEMERAL_PORT = 10_000, 32_768


class Process:
    """One process of a run. Not for use from several threads at once."""

    def __init__(self, popen: subprocess.Popen[bytes], record: Path, log: Path) -> None:
        self.name = log.stem
        self.log = log
        self._popen = popen
        self._record = record

    @property
    def pid(self) -> int:
        """The process's id, which is also the id of its process group."""
        return self._popen.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs."""
        return self._poll()

    def send(self, number: signal.Signals) -> None:
        """Signal the process; nothing happens when it has ended."""
        if self._poll() is None:
            self._popen.send_signal(number)

    def pause(self) -> None:
        """Stop the process where it is: it keeps its connections and answers nothing."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on."""
        self.send(signal.SIGCONT)

    def end(self, number: signal.Signals, timeout_seconds: float = 30.0) -> int:
        """Signal the process and wait until it has ended; returns its exit status, negative for a signal."""
        self.send(number)
        self.send(signal.SIGCONT)
        return self.wait(timeout_seconds)

    def wait(self, timeout_seconds: float) -> int:
        """Wait until the process has ended by itself; after the time it is killed and an error raised."""
        try:
            status = self._popen.wait(timeout_seconds)
        except subprocess.TimeoutExpired as error:
            self._popen.kill()
            self._popen.wait()
            raise ServerFailedError(
                f"{self.name} did not end within {timeout_seconds} s\n{self.tail()}"
            ) from error
        finally:
            self._poll()
        return status

    def tail(self) -> str:
        """The last lines of the process's log."""
        lines = (
            self.log.read_text(encoding="utf-8", errors="replace").splitlines() if self.log.exists() else []
        )
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def _poll(self) -> int | None:
        status = self._popen.poll()
        if status is not None:
            self._record.unlink(missing_ok=True)
        return status


class Run:
    """A folder, a guardian and the processes of one run; a context manager."""

    def __init__(self) -> None:
        remove_left_overs(temporary_base())
        self.folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=temporary_base()))
        self.folder.chmod(0o711)
        self.password = secrets.token_urlsafe(18)  # of the servers' administrator
        self._pids = self.folder / guardian.RECORDS
        self._pids.mkdir()
        self._pids.chmod(0o711)
        self._count = 0
        self._processes: list[tuple[Process, signal.Signals]] = []
        self._guardian = self._start_guardian()

    def _start_guardian(self) -> subprocess.Popen[bytes]:
        arguments = [sys.executable, "-I", "-S", guardian.__file__, str(self.folder), str(os.getpid())]
        process = subprocess.Popen(arguments, stdin=subprocess.PIPE, start_new_session=True, cwd="/")
        (self.folder / "owners").write_text(f"{os.getpid()} {process.pid}", encoding="ascii")
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process that still runs and remove the folder; returns when both are done."""
        for process, number in reversed(self._processes):
            process.send(number)
            process.resume()
        for process, _ in self._processes:
            process.wait(guardian.CLEAN_END_SECONDS + guardian.KILLED_END_SECONDS)
        if self._guardian.stdin is not None:
            self._guardian.stdin.close()
        self._guardian.wait()

    def make_folder(self, name: str) -> Path:
        """A new folder that belongs to the servers' user alone; a number makes its name unique."""
        self._count += 1
        folder = self.folder / f"{name}-{self._count}"
        folder.mkdir(mode=0o700)
        give(folder)
        return folder

    def start(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        end: signal.Signals = signal.SIGKILL,
        env: Mapping[str, str] | None = None,
        as_server: bool = True,
        cwd: Path | None = None,
        output: Path | None = None,
    ) -> Process:
        """Start a process whose errors go to `log`, as its output does unless `output` names a file for it.

        `end` is the signal that ends it when the run ends. `as_server` runs it as the servers' user with only
        the given environment; otherwise it runs as the caller, whose environment `env` adds to.
        """
        self._processes = [known for known in self._processes if known[0].returncode is None]
        self._count += 1
        record = self._pids / f"{self._count}.{end.name.removeprefix('SIG')}"
        user = server_user() if as_server else None
        inherited: Mapping[str, str] = {"PATH": os.defpath, "LANG": "C.UTF-8"} if as_server else os.environ
        with (
            record.open("wb") as record_file,
            log.open("ab") as log_file,
            (output or log).open("ab") as output_file,
        ):
            popen = subprocess.Popen(
                ["/bin/sh", "-c", RECORD_AND_BECOME, record, *map(str, command)],
                stdin=record_file,
                stdout=output_file,
                stderr=log_file,
                env={**inherited, **(env or {})},
                cwd=cwd or log.parent,
                start_new_session=True,
                user=user.uid if user else None,
                group=user.gid if user else None,
                extra_groups=[] if user else None,
            )
        while popen.poll() is None and record.stat().st_size == 0:
            time.sleep(RECORD_POLL_SECONDS)  # a caller who pauses it at once must not pause it unrecorded
        process = Process(popen, record, log)
        self._processes.append((process, end))
        return process

    def call(
        self,
        command: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        timeout_seconds: float = 60,
    ) -> str:
        """Run a program as the servers' user; returns its standard output, raises when it fails."""
        folder = self.make_folder("call")
        log, output = folder / f"{Path(command[0]).name}.log", folder / "output"
        process = self.start(command, log=log, output=output, env={"HOME": str(folder), **(env or {})})
        status = process.wait(timeout_seconds)
        printed = output.read_text(encoding="utf-8", errors="replace")
        if status != 0:
            raise ServerFailedError(
                f"{' '.join(map(str, command))} ended with {status}\n{printed}{process.tail()}"
            )
        shutil.rmtree(folder)
        return printed


def remove_left_overs(base: Path) -> None:
    """Clean up after this user's runs that are dead together with their guardian."""
    for folder, alive in runs(base):
        if not alive:
            with contextlib.suppress(FileNotFoundError):  # another run is doing the same
                guardian.clean(folder)


def runs(base: Path) -> Iterator[tuple[Path, bool]]:
    """The folders of this user's runs, and whether the run or its guardian is alive."""
    for folder in base.glob(f"{FOLDER_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            owners = [int(pid) for pid in (folder / "owners").read_text(encoding="ascii").split()]
            if owners and folder.lstat().st_uid == os.geteuid():
                yield folder, any(guardian.is_alive(pid) for pid in owners)


def free_port() -> int:
    """A port on which nothing listens, below the ephemeral range.

    From that range the kernel takes the ports of outgoing connections: a client that reconnects to a stopped
    server would now and then occupy the server's own port, which could then not be started again.
    """
    for port in random.SystemRandom().sample(range(LOWEST_PORT, LOWEST_EPHEMERAL_PORT), 200):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise ServerFailedError(f"no free port between {LOWEST_PORT} and {LOWEST_EPHEMERAL_PORT}")


def attempts(timeout_seconds: float, processes: Callable[[], Sequence[Process]]) -> Iterator[None]:
    """Yield until the caller stops asking; raises when a process ends meanwhile, or in the end."""
    deadline = time.monotonic() + timeout_seconds
    while True:
        yield
        for process in processes():
            if process.returncode is not None:
                raise ServerFailedError(f"{process.name} ended with {process.returncode}\n{process.tail()}")
        if time.monotonic() > deadline:
            tails = "\n".join(process.tail() for process in processes())
            raise ServerFailedError(f"not ready within {timeout_seconds} s\n{tails}")
        time.sleep(POLL_SECONDS)
