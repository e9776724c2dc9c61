"""Writing the state of pipelines where operators look: tide.pipelines. Only changes are written."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Protocol

import psycopg
from psycopg.sql import SQL

from pg_tide_relay.cursor import Unit
from pg_tide_relay.delivery_state import DeliveryState
from pg_tide_relay.error_policy import StateName, state_for
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.postgres import Connection, Worker
from pg_tide_relay.postgres_errors import classify_postgres
from pg_tide_sql.statements import statement


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineReport:
    """What a relay says of a pipeline."""

    state: str  # running, backing_off or error
    error_class: ErrorClass | None = None
    error_code: str | None = None  # Kafka's name of the error, or an SQLSTATE
    error: str | None = None
    cure: str | None = None
    message_id: int | None = None
    attempts: int | None = None  # that failed since the last progress
    next_attempt_at: datetime | None = None  # UTC
    throttled_ms: int | None = None  # how long a quota of the cluster makes it wait


def report_of(state: DeliveryState) -> PipelineReport:
    """What an operator is told of a delivery: one word for "goes no further until somebody does something"."""
    name = StateName.ERROR if state.name is StateName.STOPPED else state.name
    where = f" (topic {state.topic})" if state.topic else ""
    return PipelineReport(
        state=name.value,
        error_class=state.error_class,
        error_code=state.code,
        error=state.cause and state.cause + where,
        cure=state.cure,
        message_id=state.message_id,
        attempts=state.attempts,
        next_attempt_at=state.next_attempt_at,
        throttled_ms=state.throttled_ms,
    )


def report_of_database(
    error: psycopg.Error, attempts: int | None = None, pause_s: float | None = None
) -> PipelineReport:
    """What an operator is told when PostgreSQL refuses what a pipeline asks of it."""
    known = classify_postgres(error)
    again_at = None if pause_s is None else datetime.now(UTC) + timedelta(seconds=pause_s)
    return PipelineReport(
        state=state_for(known.error_class).value,
        error_class=known.error_class,
        error_code=error.sqlstate,
        error=f"{known.means}: {str(error).strip()}",
        cure=known.cure,
        attempts=attempts,
        next_attempt_at=again_at,
    )


class Reported(Protocol):
    """The pipeline a report is about."""

    @property
    def unit(self) -> Unit:
        """Number of the pipeline, and the shard."""

    @property
    def name(self) -> str:
        """Name of the pipeline."""

    @property
    def version(self) -> int:
        """Version of the configuration that runs."""


class Reporter:
    """Writes reports on the writing connection; a report that was lost with a connection is written again."""

    def __init__(self, *, writer: Worker, relay_id: str) -> None:
        """Reports are signed with the relay's id."""
        self._writer = writer
        self._relay_id = relay_id
        self._last: dict[Unit, tuple[int, PipelineReport]] = {}

    def report(self, about: Reported, report: PipelineReport) -> None:
        """Write the report unless it says what the last one said."""
        if self._last.get(about.unit) == (about.version, report):
            return
        self._last[about.unit] = (about.version, report)
        values = {
            "pipeline_id": about.unit.pipeline_id,
            "shard": about.unit.shard,
            "relay_id": self._relay_id,
            "version": about.version,
            "state": report.state,
            "error_class": report.error_class,
            "error_code": report.error_code,
            "error": report.error,
            "cure": report.cure,
            "message_id": report.message_id,
            "attempts": report.attempts,
            "next_attempt_at": report.next_attempt_at,
            "throttled_ms": report.throttled_ms,
        }
        self._writer.submit(
            partial(_write, values=values),
            lambda done: self._forget_if_lost(about.unit, done.exception()),
        )

    def _forget_if_lost(self, unit: Unit, error: BaseException | None) -> None:
        if isinstance(error, psycopg.Error):
            self._last.pop(unit, None)
        elif error is not None:
            raise error

    def forget(self, unit: Unit) -> None:
        """The pipeline is no longer ours to speak of."""
        self._last.pop(unit, None)


def _write(conn: Connection, values: dict[str, object]) -> None:
    conn.execute(SQL(statement("pipeline_report")), values)
