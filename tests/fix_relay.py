"""Relays as users run them: `pg-tide` in a process of its own, its log read as it is written."""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from pg_tide_dev.processes import Process, Run
from waiting import eventually

T = TypeVar("T")
Line = dict[str, Any]
StartRelay = Callable[..., "Relay"]

PG_TIDE = (sys.executable, "-m", "pg_tide_relay")
"""The program `pg-tide` of the interpreter in use."""


class Relay:
    """A running `pg-tide`, and what it has said so far."""

    def __init__(self, process: Process) -> None:
        self.process = process

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        return self.process.returncode

    def lines(self, event: str | None = None, **fields: object) -> list[Line]:
        """The log lines of an event, or all, that have these fields."""
        return [
            line
            for line in self._complete_lines()
            if event in (None, line["event"]) and all(line.get(name) == fields[name] for name in fields)
        ]

    def wait_for(self, wanted: str | Callable[[], T | None], within: float = 30.0, **fields: object) -> Any:
        """The first log line of an event with these fields, or the first true answer of a question.

        Fails when the relay ends before, or the time is over.
        """

        def look() -> Any:
            found = (self.lines(wanted, **fields) or [None])[0] if isinstance(wanted, str) else wanted()
            if not found and self.exit_code is not None:
                pytest.fail(f"the relay ended with {self.exit_code} before {wanted}\n{self.process.tail()}")
            return found

        return eventually(look, within=within, why=self.process.tail)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal and go on."""
        self.process.send(number)

    def terminate(self, within: float = 40.0) -> int:
        """SIGTERM; the exit code."""
        return self.process.end(signal.SIGTERM, within)

    def kill(self) -> None:
        """SIGKILL; returns when the process is gone."""
        self.process.end(signal.SIGKILL)

    def wait(self, within: float = 40.0) -> int:
        """Wait until it has ended; the exit code."""
        return self.process.wait(within)

    def pause(self) -> None:
        """SIGSTOP: it keeps its connections and does nothing."""
        self.process.pause()

    def resume(self) -> None:
        """SIGCONT."""
        self.process.resume()

    def memory_mb(self, which: str = "VmHWM") -> float:
        """Its resident memory in MiB: the peak, or with `VmRSS` now."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        (line,) = (line for line in status.splitlines() if line.startswith(f"{which}:"))
        return int(line.split()[1]) / 1024

    def _complete_lines(self) -> list[Line]:
        text = self.process.log.read_text(encoding="utf-8", errors="replace")
        whole = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]


@pytest.fixture
def start_relay(dev_run: Run) -> Iterator[StartRelay]:
    """Starts relays: `start_relay(dsn, "--lease-ms", "1000", env={"KAFKA_USER": "x"})`; ended with the test.

    The relay logs JSON, and its environment holds nothing but what the test gives it. `command` runs
    something else in its place: what a user would type, in a shell.
    """
    with relays(dev_run) as start:
        yield start


@contextmanager
def relays(run: Run) -> Iterator[StartRelay]:
    """What `start_relay` is made of; for fixtures of a wider scope."""
    started: list[Relay] = []

    def start(
        dsn: str, *flags: str, env: Mapping[str, str] | None = None, command: Sequence[str] = ()
    ) -> Relay:
        given = {**clean_environment(), **(env or {})}
        clean = ["/usr/bin/env", "-i", *(f"{name}={value}" for name, value in given.items())]
        folder = run.make_folder("relay")
        process = run.start(
            [*clean, *(command or [*PG_TIDE, "--postgres-url", dsn, *flags])],
            log=folder / "relay.log",
            as_server=False,
        )
        started.append(Relay(process))
        return started[-1]

    try:
        yield start
    finally:
        for relay in started:
            relay.kill()
            print(relay.process.tail())  # shown when the test has failed


def clean_environment() -> dict[str, str]:
    """What every relay of the tests finds in its environment, and nothing beside it."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if os.environ.get(name)}
    return {**kept, "LANG": "C.UTF-8", "PG_TIDE_LOG_FORMAT": "json"}
