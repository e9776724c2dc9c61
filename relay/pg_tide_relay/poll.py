"""Fetch: looking for new messages and reading them, on the reading connection.

Every function here is a job for the reading worker. A window is opened by one statement that takes the snapshot
and later ones that look for messages, all on one server connection; pages are read by still later statements,
which see everything that is visible in the snapshot. Each transaction states READ COMMITTED and carries its
planner settings itself, because a transaction pooler may give every transaction another server connection.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Any, Final, NamedTuple, cast

import psycopg
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL, Composed, Identifier

from pg_tide_relay.cursor import (
    FROM_THE_BEGINNING,
    NO_MAIN_PART,
    Position,
    Unit,
    snapshot_running,
    snapshot_xmax,
)
from pg_tide_relay.failpoints import hit
from pg_tide_relay.message import Row, bytes_of
from pg_tide_relay.postgres import Connection
from pg_tide_sql.statements import statement

PAGE_BYTES: Final = 4 * 1024 * 1024
"""No message is added to a page whose texts have reached this many bytes."""


class PollError(Exception):
    """The server that answered can't be read from; what to do about it stands in the text."""


class StandbyError(PollError):
    """The server is in recovery. Its snapshots call running transactions finished: messages would be lost."""


class CursorDoubtError(PollError):
    """The cursor names transactions that this server has not reached."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowWanted:
    """A pipeline between two windows that asks for the next one."""

    outbox_id: int
    prev: str
    until: str | None = (
        None  # a snapshot of before that the window must end at; None: what is committed by now
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class WindowsOpened:
    """One snapshot, and for each pipeline that asked the window it opens; pipelines without messages are left out."""

    snapshot: str
    timeline: int | None  # None: nothing has ended since the last look, nothing was asked
    first_ids: Mapping[Unit, int]
    connection: int | None = None  # number of the reading connection; what was read there dies with it


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """Messages in id order, and whether the window or the replay pass has no more."""

    rows: Sequence[Row]
    is_last: bool


@cache
def _in_table(name: str, outbox_id: int) -> Composed:
    return SQL(statement(name)).format(table=Identifier("tide", f"message_{outbox_id}"))


def open_windows(conn: Connection, wanted: Mapping[Unit, WindowWanted], seen: str | None) -> WindowsOpened:
    """Open the next window of each of these pipelines, at one snapshot for all.

    ``seen`` is the snapshot of the last look that found nothing for any of them: when no transaction has ended
    since, one short statement is all that an idle relay costs the database, however many pipelines it runs.
    Raises StandbyError and CursorDoubtError.
    """
    with conn.cursor(binary=True) as cur:
        snapshot, in_recovery = cast(
            tuple[bytes, bool], cur.execute(SQL(statement("tick")), prepare=True).fetchone()
        )
        if in_recovery:
            conn.close()  # a list of hosts may lead the next connection to the primary
            raise StandbyError(_STANDBY)
        if snapshot.decode() == seen:
            return WindowsOpened(snapshot=seen, timeline=None, first_ids={})
    with one_transaction(conn):
        conn.cursor(binary=True).execute(SQL(statement("pins")), prepare=True)
        opening = conn.cursor(binary=True).execute(SQL(statement("window_open")), prepare=True)
        text, in_recovery, lsn, timeline = cast(tuple[bytes, bool, bytes, int], opening.fetchone())
        if in_recovery:
            raise StandbyError(_STANDBY)
        end = text.decode()
        first_ids = first_ids_of(conn, wanted, end)
    hit("after_window_open")
    if first_ids:
        _ensure_flushed(conn, lsn.decode())
    return WindowsOpened(snapshot=end, timeline=timeline, first_ids=first_ids)


@contextmanager
def one_transaction(conn: Connection) -> Iterator[None]:
    """Statements of one READ COMMITTED transaction, sent together with its begin and its end.

    ``conn.transaction()`` inside a pipeline waits for the server at its begin and again at its end.
    """
    try:
        with conn.pipeline():
            conn.execute(SQL(statement("begin")))
            yield
            conn.execute(SQL(statement("commit")))
    finally:
        if not conn.closed and conn.info.transaction_status is not TransactionStatus.IDLE:
            conn.rollback()


_STANDBY = (
    "the server is a standby, whose snapshots call running transactions finished; connect to the primary"
)


def first_ids_of(conn: Connection, wanted: Mapping[Unit, WindowWanted], end: str) -> dict[Unit, int]:
    """Pipelines that have messages in their windows, with the windows' first ids.

    In the caller's transaction; one round trip where that is sent as a pipeline. Raises CursorDoubtError.
    """
    asked: list[tuple[Unit, Any, Any]] = []
    found = {}
    for unit, want in wanted.items():
        cur = want.until or end
        if snapshot_xmax(end) < snapshot_xmax(want.prev):
            raise CursorDoubtError(
                "the cursor's snapshot names transactions that this server has not reached: "
                "the transaction counter was reset"
            )
        if want.prev == FROM_THE_BEGINNING:
            # The whole outbox is the window: no need to look through all of it for its smallest id.
            found[unit] = 0
            continue
        main = conn.cursor(binary=True).execute(
            _in_table("window_first_id", want.outbox_id), {"prev": want.prev, "cur": cur}, prepare=True
        )
        stragglers = None
        if running := snapshot_running(want.prev):
            stragglers = conn.cursor(binary=True).execute(
                _in_table("window_stragglers", want.outbox_id), {"running": running, "cur": cur}
            )
        asked.append((unit, main, stragglers))
    for unit, main, stragglers in asked:
        first_id = main.fetchone()[0]
        if first_id is not None:
            found[unit] = first_id
        elif stragglers is not None and stragglers.fetchone()[0]:
            found[unit] = NO_MAIN_PART
    return found


def _ensure_flushed(conn: Connection, lsn: str) -> None:
    """Nothing that the snapshot calls ended may be undone by a crash once its messages are sent.

    A transaction id whose end was not flushed is handed out again after a crash; its next user would be taken
    for something that the cursor has passed.
    """
    hit("before_flush")
    with conn.cursor(binary=True) as cur:
        flushed = cur.execute(SQL(statement("is_flushed")), {"lsn": lsn}, prepare=True).fetchone()
        if flushed is None or not flushed[0]:
            cur.execute(SQL(statement("flush")))


def read_page(
    conn: Connection,
    outbox_id: int,
    position: Position,
    size: int,
    within: Callable[[Connection], AbstractContextManager[object]] = one_transaction,
) -> Page:
    """The next messages behind the position in id order: at most ``size``, and about PAGE_BYTES of texts.

    ``within`` gives the transaction: one of the page's own, unless told otherwise.
    """
    running = [] if position.replaying else snapshot_running(position.prev)
    values = {
        "prev": position.prev,
        "cur": position.cur,
        "first_id": position.first_id,
        "last_id": position.last_id,
        "replay_last": position.replay_last,
        "running": running,
        "size": size,
        "bytes": PAGE_BYTES,
    }
    main = conn.cursor(binary=True)
    late = conn.cursor(binary=True)
    with within(conn):
        pins = conn.cursor(binary=True).execute(SQL(statement("pins")), prepare=True)
        name = "page_replay" if position.replaying else "page_main"
        main.execute(_in_table(name, outbox_id), values, prepare=True)
        if running:
            late.execute(_in_table("page_stragglers", outbox_id), values)
    refuse_standby(conn, pins)
    page = _page(cast(list[Row], main.fetchall()), size)
    if running:
        page = _merged(page, _page(cast(list[Row], late.fetchall()), size), size)
    hit("after_fetch")
    return page


class RedrivePage(NamedTuple):
    """Dead letters to be sent again, in the order of their messages."""

    rows: Sequence[Row]
    numbers: Sequence[int]  # of the dead letters
    asked: Sequence[int] = ()  # when somebody asked for each: microseconds since PostgreSQL's epoch


def read_redrive_page(conn: Connection, pipeline_id: int, size: int, after: int = 0) -> RedrivePage:
    """The next dead letters to be sent, behind this message: at most ``size``, and about PAGE_BYTES of payloads."""
    values = {"pipeline_id": pipeline_id, "size": size, "bytes": PAGE_BYTES, "after": after}
    letters = conn.cursor(binary=True)
    with one_transaction(conn):
        pins = conn.cursor(binary=True).execute(SQL(statement("pins")), prepare=True)
        letters.execute(SQL(statement("page_redrive")), values)
    refuse_standby(conn, pins)
    found = letters.fetchall()
    return RedrivePage(
        [cast(Row, one[:-2]) for one in found], [one[-2] for one in found], [one[-1] for one in found]
    )


def refuse_standby(conn: Connection, pins: psycopg.Cursor[tuple[Any, ...]]) -> None:
    """It may lag behind the snapshot: a short page would be taken for the end of the window."""
    if cast(tuple[Any, ...], pins.fetchone())[-1]:
        conn.close()
        raise StandbyError(_STANDBY)


def _page(rows: list[Row], size: int) -> Page:
    """A part that is short is the last one, unless it may have been cut by its bytes.

    The server counts in its own encoding, in which a text has at most twice as many bytes as in UTF-8.
    """
    is_short = len(rows) < size
    return Page(rows=rows, is_last=is_short and bytes_of(rows) < PAGE_BYTES // 2)


def _merged(main: Page, late: Page, size: int) -> Page:
    """Both parts in id order, up to where each of them is known."""
    if not late.rows:
        return main
    known = min((part.rows[-1][0] for part in (main, late) if not part.is_last), default=None)
    rows = [
        row
        for row in islice(merge(main.rows, late.rows, key=itemgetter(0)), size)
        if known is None or row[0] <= known
    ]
    is_last = known is None and len(rows) == len(main.rows) + len(late.rows)
    return Page(rows=rows, is_last=is_last)
