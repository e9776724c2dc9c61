"""``pg-tide run --processes N``: a parent that keeps N relay processes running.

The children are relays like any other: they share the pipelines by the database, and nothing with each other. Each is
a new program, not a fork, so no connection and no thread is inherited. What a child is to do comes through a pipe to
its standard input, first its settings: so no password stands in a list of processes, and a child whose parent has
died in whatever way reads the end of the pipe, and leaves in order.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from types import FrameType
from typing import Final

import structlog

from pg_tide_relay.backoff import Backoff
from pg_tide_relay.config.pace_models import RetryConfig
from pg_tide_relay.logs import LogFormat, LogLevel
from pg_tide_relay.settings import RelaySettings

STOP: Final = b"stop\n"
NOW: Final = b"now\n"

_COMMAND: Final = (sys.executable, "-P", "-m", "pg_tide_relay.child")

_PAUSES: Final = RetryConfig(backoff_ms=1_000, backoff_max_ms=30_000)

_FORGIVEN_AFTER_S: Final = 60.0
"""A child that ran for so long begins its pauses anew."""

_END_WITHIN_S: Final = 10.0
"""So long after its drain timeout, or after it was told to leave at once, a child is killed."""

_EXIT_OK: Final = 0
_EXIT_FAILURE: Final = 1
_EXIT_CONFIGURATION: Final = 78


@dataclass(kw_only=True)
class _Child:
    """One of the N, and the process that is it now."""

    settings: RelaySettings
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    began_at: float = 0.0
    start_at: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(_PAUSES))

    @property
    def relay_id(self) -> str:
        """Another one after each restart: the one that died is not forgotten by the database at once."""
        return f"{self.settings.relay_id}.{self.restarts}" if self.restarts else self.settings.relay_id

    def tell(self, order: bytes) -> None:
        """Write to its standard input; one that has ended is not told."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.write(order)


def settings_of_children(settings: RelaySettings, count: int) -> list[RelaySettings]:
    """The settings of so many relays, each with an id of its own; ValueError when that becomes too long."""
    return [replace(settings, relay_id=f"{settings.relay_id}-{number}") for number in range(1, count + 1)]


class Processes:
    """The parent; it has no connection and no producer of its own."""

    def __init__(
        self,
        settings: RelaySettings,
        count: int,
        *,
        log_format: LogFormat,
        log_level: LogLevel,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing starts before ``run``."""
        self._children = [_Child(settings=one) for one in settings_of_children(settings, count)]
        self._drain_timeout_s = settings.drain_timeout_s
        self._log_format = log_format
        self._log_level = log_level
        self._clock = clock
        self._log = structlog.get_logger("pg_tide_relay").bind(relay_id=settings.relay_id)
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._signals = 0
        self._told = 0  # how many of the signals the children know of
        self._exit_code = _EXIT_OK
        self._kill_at = float("inf")

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """First signal: the children leave in order. Second: now."""
        self._signals += 1
        self._inbox.put(lambda: None)

    def run(self) -> int:
        """Run until stopped, or until no child can run; the exit code."""
        previous = {
            number: signal.signal(number, self.on_signal) for number in (signal.SIGTERM, signal.SIGINT)
        }
        self._log.info("relays start", processes=len(self._children), pid=os.getpid())
        try:
            return self._run()
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
            for child in self._children:  # after a defect of this program: the end of the pipe says it all
                if child.process is not None and child.process.stdin is not None:
                    child.process.stdin.close()

    def _run(self) -> int:
        while True:
            now = self._clock()
            if self._told < self._signals:
                self._stop(now)
            if self._signals and all(child.process is None for child in self._children):
                self._log.info("relays ended", exit_code=self._exit_code)
                return self._exit_code
            for child in self._children:
                if child.process is None and not self._signals and now >= child.start_at:
                    self._start(child, now)
            if now >= self._kill_at:
                self._kill()
            self._wait(now)

    def _wait(self, now: float) -> None:
        due = [child.start_at for child in self._children if child.process is None and not self._signals]
        until = min([*due, self._kill_at])
        with contextlib.suppress(Empty):
            self._inbox.get(timeout=None if until == float("inf") else max(0.0, until - now))()
            while True:
                self._inbox.get_nowait()()

    # -- children --------------------------------------------------------------------------------------

    def _start(self, child: _Child, now: float) -> None:
        path = os.pathsep.join(entry or str(os.getcwd()) for entry in sys.path)  # noqa: PTH109
        process = subprocess.Popen(
            [*_COMMAND, child.relay_id],  # the id is for whoever lists processes
            stdin=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": path},  # it is to find what this process has found
            process_group=0,  # Ctrl-C in a terminal is for the parent, which passes it on
        )
        child.process, child.began_at = process, now
        settings = asdict(replace(child.settings, relay_id=child.relay_id))
        child.tell(json.dumps([settings, self._log_format, self._log_level]).encode() + b"\n")
        self._log.info("relay process started", child=child.relay_id, child_pid=process.pid)
        Thread(target=self._await, args=(child, process), daemon=True).start()

    def _await(self, child: _Child, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._inbox.put(partial(self._on_end, child, process))

    def _on_end(self, child: _Child, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None:
            process.stdin.close()
        ended, code = child.relay_id, process.returncode
        child.process = None
        child.restarts += 1
        now = self._clock()
        if self._signals:
            # By the signal's default: it had not begun.
            if code not in (_EXIT_OK, -signal.SIGTERM) and self._exit_code == _EXIT_OK:
                self._exit_code = _EXIT_FAILURE
            return
        if code == _EXIT_CONFIGURATION:
            # It would end so again, and so will the others.
            self._log.error("relay process can't run", child=ended, exit_code=code)
            self._exit_code = _EXIT_CONFIGURATION
            self._signals = 1
            return
        if now - child.began_at >= _FORGIVEN_AFTER_S:
            child.backoff.reset()
        pause_s = child.backoff.next_s()
        child.start_at = now + pause_s
        self._log.warning("relay process died", child=ended, exit_code=code, pause_s=round(pause_s, 1))

    # -- the end ---------------------------------------------------------------------------------------

    def _stop(self, now: float) -> None:
        self._told = self._signals
        at_once = self._signals > 1
        self._log.info("relays stop", at_once=at_once)
        if at_once and self._exit_code == _EXIT_OK:
            self._exit_code = _EXIT_FAILURE
        for child in self._children:
            child.tell(NOW if at_once else STOP)
        self._kill_at = now + _END_WITHIN_S + (0.0 if at_once else self._drain_timeout_s)

    def _kill(self) -> None:
        self._kill_at = float("inf")
        for child in self._children:
            if child.process is not None:
                self._log.error("relay process does not end and is killed", child=child.relay_id)
                child.process.kill()
