"""A replay as it is stored: begin it, read its next messages, write down how far it has come.

Every function here is a job for a worker. Like a cursor's settle, that of a replay compares owner token and epoch in
the statement that writes; what a crash of the server takes back is sent once more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, cast

from psycopg.rows import class_row
from psycopg.sql import SQL

from pg_tide_relay.cursor import Ownership
from pg_tide_relay.failpoints import hit
from pg_tide_relay.message import Row
from pg_tide_relay.poll import PAGE_BYTES, one_transaction, refuse_standby
from pg_tide_relay.postgres import Connection
from pg_tide_relay.report import PipelineReport
from pg_tide_relay.settle import CursorLockedError, NotOwnerError
from pg_tide_sql.statements import statement

_REACH: Final = 2_000
"""Messages of the outbox that one page looks at, whatever the conditions choose: others wait for this connection."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayOrder:
    """What is to be done, and where it stands."""

    replay_id: int
    requested_us: int  # when it was asked for, microseconds since 1970
    last_position: int  # messages up to this id are done
    until_id: int  # the last message that it may send
    to_topic: str | None  # a template, in the place of the pipeline's
    headers: Mapping[str, str] | None
    max_messages_per_second: int | None


class ReplayPage(NamedTuple):
    """Messages of a replay in id order."""

    rows: Sequence[Row]
    letters: Sequence[bool]  # of each: whether it waits as a dead letter, and must not be sent
    up_to: int  # all of the replay up to this id


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """What became of messages since the last settle."""

    position: int
    sent: int = 0
    filtered: int = 0
    failed: int = 0
    left_out: int = 0
    first_failed_id: int | None = None
    first_error: str | None = None

    def plus(self, later: "Progress") -> "Progress":
        """Both together."""
        first = self if self.first_failed_id is not None else later
        return Progress(
            position=later.position,
            sent=self.sent + later.sent,
            filtered=self.filtered + later.filtered,
            failed=self.failed + later.failed,
            left_out=self.left_out + later.left_out,
            first_failed_id=first.first_failed_id,
            first_error=first.first_error,
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be written."""
        return replace(self, position=0) == Progress(position=0)


def begin_replay(conn: Connection, owned: Ownership, pipeline_id: int, relay_id: str) -> ReplayOrder | None:
    """Begin the pipeline's oldest open replay, or go on with it; None: there is none.

    Raises NotOwnerError and CursorLockedError.
    """
    values = {
        "pipeline_id": pipeline_id,
        "group_id": owned.group_id,
        "token": owned.token,
        "epoch": owned.epoch,
        "relay_id": relay_id,
    }
    with conn.transaction(), conn.cursor(row_factory=class_row(ReplayOrder)) as cur:
        order = cur.execute(SQL(statement("replay_begin")), values).fetchone()
    if order is None:
        raise NotOwnerError
    if order.replay_id is None:
        raise CursorLockedError
    return order if order.replay_id else None


def read_replay_page(conn: Connection, replay_id: int, behind_id: int, size: int) -> ReplayPage | None:
    """The messages behind an id: at most ``size``, and about PAGE_BYTES of texts; None: the replay is gone."""
    values = {
        "replay_id": replay_id,
        "behind_id": behind_id,
        "size": size,
        "bytes": PAGE_BYTES,
        "reach": _REACH,
    }
    page = conn.cursor(binary=True)
    with one_transaction(conn):
        pins = conn.cursor(binary=True).execute(SQL(statement("pins")), prepare=True)
        page.execute(SQL(statement("page_of_replay")), values)
    refuse_standby(conn, pins)
    found = page.fetchall()
    if not found:
        return None
    there = [one for one in found if one[1] is not None]
    return ReplayPage([cast(Row, one[1:-1]) for one in there], [one[-1] for one in there], found[0][0])


def settle_replay(
    conn: Connection,
    owned: Ownership,
    replay_id: int,
    progress: Progress,
    *,
    what: str | None,
    said: PipelineReport | None,
) -> str:
    """Add the progress; returns the state that it is in now: somebody may have cancelled it.

    ``what``: "done", "failed" or None (it goes on); ``said``: what stands in the way, or why it failed. Raises
    NotOwnerError (also when the replay is gone) and CursorLockedError.
    """
    hit("before_replay_settle")
    values: dict[str, Any] = {
        "replay_id": replay_id,
        "group_id": owned.group_id,
        "token": owned.token,
        "epoch": owned.epoch,
        "position": progress.position,
        "sent": progress.sent,
        "filtered": progress.filtered,
        "failed": progress.failed,
        "left_out": progress.left_out,
        "first_failed_id": progress.first_failed_id,
        "first_error": progress.first_error,
        "what": what,
        "error_class": None if said is None or said.error_class is None else str(said.error_class),
        "error_code": None if said is None else said.error_code,
        "error": None if said is None else said.error,
        "cure": None if said is None else said.cure,
    }
    with conn.transaction():
        row = conn.execute(SQL(statement("replay_settle")), values).fetchone()
    hit("after_replay_settle")
    if row is None:
        raise NotOwnerError
    if row[0] is None:
        raise CursorLockedError
    return cast(str, row[0])
