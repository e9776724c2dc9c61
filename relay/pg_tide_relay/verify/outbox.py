"""The side of the database: messages of an outbox in id order, entered into a ledger as the relay would send them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from psycopg import IsolationLevel
from psycopg.rows import class_row
from psycopg.sql import SQL, Composed, Identifier

from pg_tide_relay.cursor import CursorRow
from pg_tide_relay.encode import Record, Shape
from pg_tide_relay.errors import MessageError
from pg_tide_relay.message import POSTGRES_EPOCH_US, Row
from pg_tide_relay.peek import UnknownPipelineError
from pg_tide_relay.poll import PAGE_BYTES, CursorDoubtError
from pg_tide_relay.postgres import Connection, read_raw
from pg_tide_relay.readiness import check_schema
from pg_tide_relay.verify.ledger import (
    DEAD_LETTER,
    FILTERED,
    FOLLOWED,
    PASSED_OVER,
    REDRIVEN,
    TOMBSTONE,
    UNSETTLED,
    Ledger,
)
from pg_tide_sql.statements import statement

NO_TOPIC: Final = "(not known)"
"""Where a message belongs that can't be shaped by this configuration, or that is filtered: on no topic."""

_PAGE: Final = 1_000
_LAST: Final = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Found(CursorRow):
    """A pipeline, and where its cursor stands."""

    config: Any
    database: str
    outbox_id: int
    outbox: str
    consumer_group: str
    passed_over: str | None
    passed_below: int | None
    doubt: str | None
    created_us: int  # of the outbox: older records are of one that had its name before
    dropped_to: int  # messages up to this id may have been dropped by retention


class Topics:
    """Numbers for the names of topics."""

    def __init__(self) -> None:
        """Number 0 is no topic."""
        self.names = [NO_TOPIC]
        self._numbers = {NO_TOPIC: 0}

    def number_of(self, name: str) -> int:
        """The same for the same name."""
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.names)
            self.names.append(name)
        return number


class OutboxReader:
    """Reads one pipeline's outbox; the connection is the caller's and idle."""

    def __init__(self, conn: Connection, pipeline: str) -> None:
        """Look the pipeline up, at the snapshot that ``enter_all`` reads.

        Raises NotReadyError (on a standby, too), UnknownPipelineError and CursorDoubtError.
        """
        self._conn = conn
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        conn.read_only = True
        conn.prepare_threshold = None  # a pooler may stand between
        read_raw(conn)
        check_schema(conn)
        self.found = self._find(pipeline)
        self._pipeline = pipeline
        conn.execute(SQL(statement("pins")))

    def _find(self, pipeline: str) -> Found:
        with self._conn.cursor(row_factory=class_row(Found)) as cur:
            found = cur.execute(SQL(statement("verify_pipeline")), {"pipeline": pipeline}).fetchone()
        if found is None:
            names = [name for (name,) in self._conn.execute(SQL(statement("preview_names")))]
            raise UnknownPipelineError(pipeline, names)
        if found.doubt is not None:
            raise CursorDoubtError(
                f"the cursor of group {found.consumer_group!r} on outbox {found.outbox!r} can't be trusted: "
                f"{found.doubt}"
            )
        return found

    def left_out(self, limit: int) -> int | None:
        """The largest id that is not among the newest so many; None: there are not more."""
        row = self._conn.execute(self._in_table("verify_left_out"), {"limit": limit}).fetchone()
        return None if row is None else int(row[0])

    def enter_all(
        self,
        ledger: Ledger,
        topics: Topics,
        shape: Shape,
        *,
        from_id: int,
        to_id: int | None,
        tell: Callable[[int], None],
    ) -> None:
        """Enter the messages of these ids, dead letters subtracted; then the snapshot is given up."""
        for row, settled, passed_over in self._rows(from_id, _LAST if to_id is None else to_id):
            flags = (0 if settled else UNSETTLED) | (PASSED_OVER if passed_over else 0)
            topic, key = 0, None
            try:
                record = shape(row)
            except MessageError:
                pass  # its topic is not known; where the cursor has settled it, that is told as a gap
            else:
                flags |= _flags_of(record)
                if record is not None:
                    topic, key = topics.number_of(record.topic), record.key
            ledger.enter(row[0], row[7] + POSTGRES_EPOCH_US, topic, key, flags)
            if len(ledger) % _PAGE == 0:
                tell(len(ledger))
        dead = self._conn.cursor(binary=True)
        dead.execute(SQL(statement("verify_dead_letters")), {"pipeline": self._pipeline})
        for message_id, created_at, redriven, parks in dead:
            created_us = created_at + POSTGRES_EPOCH_US
            if not redriven:
                ledger.mark(message_id, created_us, DEAD_LETTER)
            elif not parks:
                ledger.mark(message_id, created_us, REDRIVEN)
        self._conn.rollback()
        self._conn.isolation_level = IsolationLevel.READ_COMMITTED
        self._conn.autocommit = True

    def _rows(self, from_id: int, to_id: int) -> Iterator[tuple[Row, bool, bool]]:
        found = self.found
        values = {
            "prev": found.prev, "cur": found.cur, "last_id": found.last_id, "replay_last": found.replay_last,
            "passed_over": found.passed_over, "passed_below": found.passed_below,
            "size": _PAGE, "bytes": PAGE_BYTES, "to_id": to_id,
        }  # fmt: skip
        after = from_id - 1
        query = self._in_table("verify_page")
        while rows := self._conn.cursor(binary=True).execute(query, values | {"after": after}).fetchall():
            for row in rows:
                yield cast(Row, row[:8]), row[8], row[9]
            after = rows[-1][0]

    def rows(self, ids: Sequence[int]) -> list[Row]:
        """Messages once more; those that were dropped meanwhile are missing."""
        cur = self._conn.cursor(binary=True).execute(self._in_table("verify_rows"), {"ids": list(ids)})
        return cast(list[Row], cur.fetchall())

    def known(self, ids: Sequence[int]) -> set[tuple[int, int]]:
        """Those of these ids that the outbox holds by now, with created_at in microseconds since 1970."""
        cur = self._conn.cursor(binary=True).execute(self._in_table("verify_known"), {"ids": list(ids)})
        return {(message_id, created_at + POSTGRES_EPOCH_US) for message_id, created_at in cur}

    def dropped_to(self) -> int:
        """Messages up to this id may have been dropped by now."""
        row = self._conn.execute(SQL(statement("verify_dropped")), {"outbox": self.found.outbox}).fetchone()
        return -1 if row is None else int(row[0])

    def _in_table(self, name: str) -> Composed:
        return SQL(statement(name)).format(table=Identifier("tide", f"message_{self.found.outbox_id}"))


def _flags_of(record: Record | None) -> int:
    if record is None:
        return FILTERED
    flags = TOMBSTONE if record.value is None or record.tombstone_follows else 0
    return flags | (FOLLOWED if record.tombstone_follows else 0)
