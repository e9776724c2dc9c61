"""The relay process: one loop on the main thread that drives all pipelines.

The main thread is the only one that burns CPU: a second one would starve it of the interpreter's lock. Two
worker threads wait for PostgreSQL on a connection each, one for reading, one for writing; librdkafka has threads
of its own. Idleness costs per database: one short statement asks for all pipelines at once.
"""

import os
import signal
import socket
import time
from bisect import bisect_right
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from itertools import islice
from operator import itemgetter
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Final, Protocol, cast

import psycopg
import structlog

from pg_tide_relay import collector, failpoints
from pg_tide_relay.build import PipelineBuilder
from pg_tide_relay.catalogue import Catalogue
from pg_tide_relay.cursor import Unit
from pg_tide_relay.delivery_state import Log
from pg_tide_relay.fetch_ahead import look
from pg_tide_relay.housekeeping import Housekeeping
from pg_tide_relay.installation import check_installation, owner_token
from pg_tide_relay.lease import Lease, Renewals
from pg_tide_relay.logs import Changes
from pg_tide_relay.pipeline import Pipeline
from pg_tide_relay.pipeline_parts import Drivers
from pg_tide_relay.poll import CursorDoubtError, PollError, WindowsOpened
from pg_tide_relay.postgres import Answer, Connection, Worker, read_raw
from pg_tide_relay.postgres_errors import classify_postgres, is_outage
from pg_tide_relay.readiness import NotReadyError, check_schema
from pg_tide_relay.report import Reporter
from pg_tide_relay.settings import RelaySettings
from pg_tide_sql.versions import RELEASE

_IN_FLIGHT_WAIT_S: Final = 0.001
"""Longest sleep while delivery reports are expected: adds at most this to the latency of an acknowledgement."""

_LOOK_FOR: Final = 50
"""Pipelines that one look asks for: each takes about eight locks to the end of its transaction."""

_RETRY_S: Final = 1.0
"""Pause between two tries to reach a database that is away."""

_CHECK_S: Final = 5.0
"""Pause between two looks at the installation's name."""

EXIT_OK: Final = 0
EXIT_FAILURE: Final = 1
EXIT_CONFIGURATION: Final = 78


class Stop(Protocol):
    """Tells the relay to leave; may be called by any thread, and again."""

    def __call__(self, *, now: bool) -> None:
        """In order, or at once."""


def run(settings: RelaySettings, *, listen: Callable[[Stop], None] | None = None) -> int:
    """Run until SIGTERM or SIGINT; the exit code of the process.

    With ``listen``, which is given what stops the relay, signals only ever mean "in order": service managers send one
    to each process of a service, beside what their parent says.
    """
    failpoints.arm(dict(os.environ))
    collector.keep_out_of_the_way()
    supervisor = Supervisor(settings)
    on_signal: Callable[[int, FrameType | None], None] = supervisor.on_signal
    if listen is not None:
        on_signal = lambda *_: supervisor.stop(now=False)  # noqa: E731
        listen(supervisor.stop)
    previous = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        return supervisor.run()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _nothing() -> None:
    """An answer that only wakes the main thread."""


class Supervisor:
    """Owns the workers, the pipelines and the loop."""

    def __init__(self, settings: RelaySettings, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing connects before ``run``."""
        self._settings = settings
        self._clock = clock
        self._log = structlog.get_logger("pg_tide_relay").bind(relay_id=settings.relay_id)
        self._said = Changes(log=self._log)
        self._database_answers = False
        self._inbox: SimpleQueue[Answer] = SimpleQueue()
        name = f"pg-tide {settings.relay_id}"
        self._reader = Worker(dsn=settings.dsn, name=f"{name} reads", inbox=self._inbox, prepare=read_raw)
        self._writer = Worker(dsn=settings.dsn, name=f"{name} writes", inbox=self._inbox)
        self._token = owner_token(settings.installation)
        reporter = Reporter(writer=self._writer, relay_id=settings.relay_id)
        drivers = Drivers(
            reader=self._reader,
            writer=self._writer,
            reporter=reporter,
            clock=clock,
            token=self._token,
            relay_id=settings.relay_id,
            lease_ms=settings.lease_ms,
        )
        builder = PipelineBuilder(
            drivers=drivers, environ=os.environ, allow_env=settings.allow_env, log=self._log
        )
        self._catalogue = Catalogue(
            writer=self._writer,
            only=settings.pipelines,
            token=self._token,
            build=builder.build,
            on_answer=self._on_database,
            clock=clock,
        )
        self._housekeeping = Housekeeping(
            writer=self._writer,
            relay_id=settings.relay_id,
            token=self._token,
            lease_ms=settings.lease_ms,
            log=cast(Log, self._log),
        )
        self._refused: NotReadyError | None = None
        self._check_at = 0.0
        self._renewals = Renewals(writer=self._writer, lease_ms=settings.lease_ms, clock=clock)
        self._looking = False
        self._look_at = 0.0
        self._looked_for = Unit(0, 0)
        self._looks_alone = 0  # so many pipelines are looked for one at a time
        self._signals = 0
        self._drain_until = float("inf")

    def on_signal(self, number: int, _frame: FrameType | None) -> None:
        """First signal: leave in order. Second: leave now."""
        del number
        self._signals += 1
        # A timed wait that a signal interrupts may begin again without its time and never end: give it an answer.
        self._inbox.put(_nothing)

    def stop(self, *, now: bool) -> None:
        """Leave in order, or now, as a signal would say; may be called by any thread, and again."""
        self._signals = max(self._signals, 2 if now else 1)
        self._inbox.put(_nothing)

    def run(self) -> int:
        """The loop."""
        self._log.info("relay starts", release=RELEASE, host=socket.gethostname(), pid=os.getpid())
        if (code := self._await_schema()) is not None:
            return self._end(code)
        while True:
            self._answer(self._wait_s())
            now = self._clock()
            for pipeline in tuple(self._catalogue.running.values()):
                pipeline.step(now)
            self._renewals.step(now, self._leases)
            self._check_installation(now)
            if self._refused is not None:
                return self._leave_to_others(self._refused)
            if self._signals:
                if self._has_drained(now):
                    return self._end(EXIT_OK if self._signals == 1 else EXIT_FAILURE)
                continue
            self._look(now)
            owns = any(lease.owned for lease in self._leases())
            self._housekeeping.step(now, serves=self._catalogue.serves, owns=owns)
            self._catalogue.step(now)

    def _leases(self) -> list[Lease]:
        return [pipeline.lease for pipeline in self._catalogue.running.values()]

    # -- waiting -------------------------------------------------------------------------------------

    def _wait_s(self) -> float:
        if any(pipeline.outstanding for pipeline in self._catalogue.running.values()):
            return _IN_FLIGHT_WAIT_S
        return self._settings.poll_interval_ms / 1000

    def _answer(self, timeout_s: float) -> None:
        """Take in what the workers have answered, waiting at most this long for the first."""
        try:
            self._inbox.get(timeout=timeout_s)()
            while True:
                self._inbox.get_nowait()()
        except Empty:
            return

    # -- looking for messages ------------------------------------------------------------------------

    def _look(self, now: float) -> None:
        """Open the next windows of all pipelines that stand between two."""
        if self._looking or now < self._look_at:
            return
        wanting = {
            key: (pipeline, want)
            for key, pipeline in self._in_turn()
            if (want := pipeline.wants_window()) is not None
        }
        if not wanting:
            return
        wanting = dict(islice(wanting.items(), 1 if self._looks_alone else _LOOK_FOR))
        self._looks_alone = max(0, self._looks_alone - 1)
        self._looked_for = next(reversed(wanting))
        seen = {pipeline.seen for pipeline, _ in wanting.values()}
        answers = [pipeline.asks_window() for pipeline, _ in wanting.values()]
        self._looking = True
        self._reader.submit(
            partial(
                look,
                reader=self._reader,
                wanted={key: want for key, (_, want) in wanting.items()},
                seen=seen.pop() if len(seen) == 1 else None,
            ),
            partial(self._on_windows, answers),
        )

    def _in_turn(self) -> list[tuple[Unit, Pipeline]]:
        """All pipelines, those first that the last look did not reach."""
        ordered = sorted(self._catalogue.running.items())
        place = bisect_right(ordered, self._looked_for, key=itemgetter(0))
        return ordered[place:] + ordered[:place]

    def _on_windows(
        self, answers: list[Callable[[Future[WindowsOpened]], None]], done: Future[WindowsOpened]
    ) -> None:
        self._looking = False
        now = self._clock()
        error = done.exception()
        if _is_about_one(error):
            # Its pipeline says so itself, and pauses. Whose it is shows when each is looked for alone.
            if len(answers) > 1:
                self._looks_alone = len(answers)
                done = _nothing_opened()
        elif error is not None:
            self._look_at = now + _RETRY_S
            self._on_database(error)
        elif not done.result().first_ids:
            self._look_at = now + self._settings.poll_interval_ms / 1000
        for answer in answers:
            answer(done)

    def _on_database(self, error: BaseException | None) -> None:
        """Say once that the database is away, and once that it is back."""
        if error is None:
            # Not each time: what is said again and again is said once a minute, and this is no news.
            if not self._database_answers:
                self._said.say("database", "info", "database answers")
            self._database_answers = True
            return
        self._database_answers = False
        cause = str(error).strip()
        if isinstance(error, PollError):
            self._said.say("database", "warning", "database is away", detail={"cause": cause})
        elif isinstance(error, psycopg.Error):
            known, state = classify_postgres(error), error.sqlstate
            if is_outage(error):
                # All of it is detail: one outage begins with several errors, one after the other.
                told = {"cause": cause, "sqlstate": state, "cure": known.cure}
                self._said.say("database", "warning", "database is away", detail=told)
            else:
                self._said.say(
                    "database", "error", "database refuses", sqlstate=state, cause=cause, cure=known.cure
                )
        else:
            raise error

    # -- beginning and end ---------------------------------------------------------------------------

    def _await_schema(self) -> int | None:
        """Wait for a database that can be worked on; an exit code when it never can."""
        while not self._signals:
            answered: list[Future[None]] = []
            self._writer.submit(self._is_ready, answered.append)
            while not answered and not self._signals:
                self._answer(0.1)
            if not answered:
                break
            error = answered[0].exception()
            if error is None:
                self._on_database(None)
                return None
            if isinstance(error, NotReadyError) and error.final:
                self._log.error("relay can't run", cause=str(error), cure=error.cure)
                return EXIT_CONFIGURATION
            if isinstance(error, NotReadyError):
                self._said.say(
                    "database", "warning", "database is not ready", cause=str(error), cure=error.cure
                )
            else:
                self._on_database(error)
            self._pause(_RETRY_S)
        return EXIT_OK

    def _is_ready(self, conn: Connection) -> None:
        check_schema(conn)
        check_installation(conn, self._settings.installation)

    def _check_installation(self, now: float) -> None:
        """Again and again: the database may be given a name, or the way to it may lead to a clone."""
        if now < self._check_at:
            return
        self._check_at = now + _CHECK_S
        self._writer.submit(
            partial(check_installation, installation=self._settings.installation), self._on_checked
        )

    def _on_checked(self, done: Future[None]) -> None:
        error = done.exception()
        if isinstance(error, NotReadyError):
            self._refused = error
        elif error is not None and not isinstance(error, psycopg.Error):
            raise error

    def _leave_to_others(self, refused: NotReadyError) -> int:
        """The database is not this relay's, which owns nothing there any more: nothing can be settled."""
        self._log.error("relay can't run", cause=str(refused), cure=refused.cure)
        for pipeline in self._catalogue.running.values():
            pipeline.abandon()
        return self._end(EXIT_CONFIGURATION)

    def _pause(self, seconds: float) -> None:
        until = self._clock() + seconds
        while not self._signals and (left := until - self._clock()) > 0:
            self._answer(min(left, 0.1))

    def _has_drained(self, now: float) -> bool:
        """Whether everything that was handed over is settled and signed off, or waited for long enough."""
        running = self._catalogue.running.values()
        if self._drain_until == float("inf"):
            self._drain_until = now + self._settings.drain_timeout_s
            self._log.info("relay stops", in_flight=sum(pipeline.outstanding for pipeline in running))
            self._housekeeping.withdraw()
        for pipeline in running:
            pipeline.leave()  # each time: one that was being loaded when the signal came is here only now
        if all(pipeline.left for pipeline in running):
            return True
        if self._signals > 1 or now >= self._drain_until:
            self._log.warning(
                "not everything was acknowledged in time; it will be sent again",
                in_flight=sum(pipeline.outstanding for pipeline in running),
            )
            for pipeline in running:
                pipeline.abandon()
            return True
        return False

    def _end(self, code: int) -> int:
        if code != EXIT_CONFIGURATION:
            self._housekeeping.sign_off()
        ended = [worker.close(timeout_s=2.0) for worker in (self._writer, self._reader)]
        self._log.info("relay ended", exit_code=code)
        if not all(ended):
            # A worker still waits for a server that does not answer; nothing is left to be lost.
            os._exit(code)
        return code


def _is_about_one(error: BaseException | None) -> bool:
    """Whether a look failed for one pipeline's sake: its table, its rights or its cursor, not the server."""
    if isinstance(error, psycopg.Error):
        return not is_outage(error)
    return isinstance(error, CursorDoubtError)


def _nothing_opened() -> Future[WindowsOpened]:
    """The answer to a look that counts for nobody: look again."""
    done: Future[WindowsOpened] = Future()
    done.set_result(WindowsOpened(snapshot="", timeline=None, first_ids={}))
    return done
