"""What a relay does beside delivering: say that it lives, and run retention."""

import os
import socket
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg.sql import SQL

from pg_tide_relay.delivery_state import Log
from pg_tide_relay.postgres import Connection, Worker
from pg_tide_relay.postgres_errors import classify_postgres
from pg_tide_sql.statements import statement
from pg_tide_sql.versions import RELEASE

_SEEN_EVERY_S: Final = 5.0
_ALIVE_MS: Final = 15_000
_RETENTION_EVERY_S: Final = 60.0


def _seen(conn: Connection, values: dict[str, object]) -> bool:
    row = conn.execute(SQL(statement("relay_seen")), values).fetchone()
    return bool(row and row[0])


def _ended(conn: Connection, values: dict[str, object]) -> None:
    conn.execute(SQL(statement("relay_ended")), values)


def _retention(conn: Connection) -> Sequence[tuple[Any, ...]]:
    with conn.transaction():  # states READ COMMITTED, without which retention refuses to run
        return conn.execute(SQL(statement("retention_run"))).fetchall()


def _letters_retention(conn: Connection) -> Sequence[tuple[Any, ...]]:
    with conn.transaction():
        return conn.execute(SQL(statement("dlq_retention_run"))).fetchall()


class Housekeeping:
    """Periodic jobs on the writing connection."""

    def __init__(self, *, writer: Worker, relay_id: str, token: UUID, lease_ms: int, log: Log) -> None:
        """The relay is known by its id; its token tells two processes of one id apart."""
        self._writer = writer
        self._log = log
        self._values: dict[str, object] = {
            "relay_id": relay_id,
            "token": token,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "release": RELEASE,
            "alive_ms": _ALIVE_MS,
            "lease_ms": lease_ms,
        }
        self._standby_every_s = min(_SEEN_EVERY_S, lease_ms / 3000)
        self._serves: tuple[int, ...] = ()
        self._said_at = float("-inf")
        self._retention_at = 0.0
        self._is_double = False

    def step(self, now: float, *, serves: tuple[int, ...], owns: bool) -> None:
        """Submit what is due.

        ``serves``: the pipelines that this process could drive; ``owns``: whether it has leases, which tell often
        enough that it lives. Each transaction that writes makes the relay look for messages of each pipeline.
        """
        every_s = _SEEN_EVERY_S if owns else self._standby_every_s
        if now >= self._said_at + every_s or serves != self._serves:
            self._said_at = now
            self._say(serves)
        if now >= self._retention_at:
            self._retention_at = now + _RETENTION_EVERY_S
            self._writer.submit(_retention, self._on_retention)
            self._writer.submit(_letters_retention, self._on_letters_retention)

    def withdraw(self) -> None:
        """This process takes no pipeline any more: others need not leave any to it."""
        self._say(())

    def _say(self, serves: tuple[int, ...]) -> None:
        self._serves = serves
        values = {**self._values, "serves": list(serves)}
        self._writer.submit(partial(_seen, values=values), self._on_seen)

    def _on_seen(self, done: Future[bool]) -> None:
        error = done.exception()
        if isinstance(error, psycopg.Error):
            return
        is_double = not done.result()
        if is_double and not self._is_double:
            self._log.warning(
                "another living relay goes by the same id; tide.relays shows only one of them",
                relay_id=self._values["relay_id"],
            )
        self._is_double = is_double

    def _on_retention(self, done: Future[Sequence[tuple[Any, ...]]]) -> None:
        error = done.exception()
        if isinstance(error, psycopg.Error):
            cure = classify_postgres(error).cure
            self._log.warning(
                "retention failed", cause=str(error).strip(), sqlstate=error.sqlstate, cure=cure
            )
            return
        for outbox, slot, action, reason in done.result():
            self._log.info("retention", outbox=outbox, slot=slot, action=action, reason=reason)
        if any(action == "emptied" for _, _, action, _ in done.result()):
            self._writer.submit(_retention, self._on_retention)

    def _on_letters_retention(self, done: Future[Sequence[tuple[Any, ...]]]) -> None:
        if isinstance(error := done.exception(), psycopg.Error):
            self._log.warning(
                "retention of dead letters failed", cause=str(error).strip(), sqlstate=error.sqlstate
            )
            return
        for pipeline, removed in done.result():
            self._log.info("dead letters removed", pipeline=pipeline, removed=removed)

    def sign_off(self) -> None:
        """Say that this process ends in order; a database that is away is not told."""
        self._writer.submit(partial(_ended, values=self._values), lambda _done: None)
