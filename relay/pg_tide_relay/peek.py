"""The messages that a pipeline would send next, read without moving anything.

One read-only transaction at one snapshot, which ends the window that is looked into. The cursor's row is read and
never locked, so a relay that drives the pipeline does not notice.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

from psycopg import IsolationLevel
from psycopg.rows import class_row
from psycopg.sql import SQL

from pg_tide_relay.cursor import CursorRow, Position, Unit
from pg_tide_relay.message import Row
from pg_tide_relay.poll import CursorDoubtError, WindowWanted, first_ids_of, read_page
from pg_tide_relay.postgres import Connection, read_raw
from pg_tide_relay.readiness import check_schema
from pg_tide_sql.statements import statement


class UnknownPipelineError(Exception):
    """No pipeline has this name; ``names`` are those that exist."""

    def __init__(self, pipeline: str, names: Sequence[str]) -> None:
        """Name the one that was asked for."""
        super().__init__(f"pipeline {pipeline!r} does not exist")
        self.pipeline = pipeline
        self.names = names


@dataclass(frozen=True, kw_only=True, slots=True)
class Peek:
    """What waits for a pipeline, and the configuration that it has."""

    outbox: str
    database: str
    consumer_group: str
    config: Any
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Tried:
    """A configuration that is not stored, any JSON value."""

    config: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found(CursorRow):
    config: Any
    database: str
    outbox_id: int
    outbox: str
    consumer_group: str
    doubt: str | None


def peek(
    conn: Connection, pipeline: str, limit: int, from_id: int | None = None, tried: Tried | None = None
) -> Peek:
    """At most ``limit`` messages: what the cursor comes to next, or whatever the outbox holds from an id on.

    ``tried`` takes the place of the configuration that is stored. The connection must be idle; it is left in the
    transaction. Raises NotReadyError (on a standby, too), UnknownPipelineError, CursorDoubtError, or
    psycopg.DatabaseError with SQLSTATE TD025 when ``tried`` names a row schema that is not stored.
    """
    conn.isolation_level = IsolationLevel.REPEATABLE_READ
    conn.read_only = True
    conn.prepare_threshold = None  # nothing is asked twice, and a pooler may stand between
    read_raw(conn)
    check_schema(conn)
    found = _find(conn, pipeline)
    if found.doubt is not None:
        raise CursorDoubtError(
            f"the cursor of group {found.consumer_group!r} on outbox {found.outbox!r} can't be trusted: {found.doubt}"
        )
    snapshot = _snapshot(conn)
    position = found.position()
    if from_id is not None:
        # A replay pass of everything there is.
        position = Position(prev=snapshot, replay_last=from_id - 1)
    rows = _next_rows(conn, found.outbox_id, position, snapshot, limit)
    return Peek(
        outbox=found.outbox,
        database=found.database,
        consumer_group=found.consumer_group,
        config=found.config if tried is None else _with_columns(conn, found.outbox, tried.config),
        rows=rows,
    )


def _find(conn: Connection, pipeline: str) -> _Found:
    with conn.cursor(row_factory=class_row(_Found)) as cur:
        found = cur.execute(SQL(statement("preview_pipeline")), {"pipeline": pipeline}).fetchone()
    if found is None:
        names = [name for (name,) in conn.execute(SQL(statement("preview_names")))]
        raise UnknownPipelineError(pipeline, names)
    return found


def _with_columns(conn: Connection, outbox: str, tried: Any) -> Any:
    """With the columns of a stored row schema in the place of its version, as stored configurations come."""
    wire = tried.get("wire_config") if isinstance(tried, dict) else None
    if not isinstance(wire, dict):
        return tried
    version = wire.get("row_schema")
    if type(version) is not int or not 0 < version < 2**31:
        return tried  # whatever else it is, the rules of a configuration judge it
    values = {"outbox": outbox, "version": version}
    ((columns,),) = conn.execute(SQL(statement("preview_row_schema")), values).fetchall()
    return {**tried, "wire_config": {**wire, "row_schema": columns}}


def _snapshot(conn: Connection) -> str:
    """The transaction's own, which all its statements read."""
    text, _ = cast(tuple[bytes, bool], conn.cursor(binary=True).execute(SQL(statement("tick"))).fetchone())
    return text.decode()


def _next_rows(conn: Connection, outbox_id: int, position: Position, snapshot: str, limit: int) -> list[Row]:
    """What is left of the replay pass and of the window under way, then the window that ends at the snapshot."""
    rows: list[Row] = []
    while len(rows) < limit:
        if not position.replaying and position.cur is None:
            opened = _open(conn, outbox_id, position, snapshot)
            if opened is None:
                break
            position = opened
        page = read_page(conn, outbox_id, position, limit - len(rows), within=nullcontext)
        rows += page.rows
        position = position.exhausted() if page.is_last else position.at(page.rows[-1][0])
    return rows


def _open(conn: Connection, outbox_id: int, position: Position, snapshot: str) -> Position | None:
    """The position in the next window; None when there is nothing in it."""
    conn.execute(SQL(statement("pins")))
    unit = Unit(0, 0)
    wanted = {unit: WindowWanted(outbox_id=outbox_id, prev=position.prev)}
    first_id = first_ids_of(conn, wanted, snapshot).get(unit)
    return None if first_id is None else position.open(snapshot, first_id, uuid4())
