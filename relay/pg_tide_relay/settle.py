"""Settle: writing the position down, and the right to do so, on the writing connection.

Every function here is a job for the writing worker. A settle commits asynchronously: a crash of the server takes
back the settle and everything after it alike, and what it covered is sent again. Ownership commits synchronously.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, NamedTuple, cast
from uuid import UUID

from psycopg.rows import class_row
from psycopg.sql import SQL

from pg_tide_relay.cursor import CursorRow, Ownership, Position
from pg_tide_relay.delivery_state import Trouble
from pg_tide_relay.failpoints import hit
from pg_tide_relay.postgres import Connection
from pg_tide_relay.window import DeadLetter
from pg_tide_sql.statements import statement


class NotOwnerError(Exception):
    """A settle or a renewal touched no row: owner, epoch, generation or timeline is not what this relay remembers."""


class CursorLockedError(Exception):
    """Another transaction holds the cursor's row: nothing was written, and nothing is wrong yet; ask again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acquired(CursorRow):
    """The cursor as it was read when this relay became its owner."""

    generation: int
    epoch: int
    timeline: int
    taken_over_from: str | None  # the last owner that did not sign off, ever
    taken_over_at: datetime | None
    known_tokens: Sequence[UUID] | None  # names that the newest position in Kafka may bear; None: any
    barrier: str | None  # where this shard stops, because their number is about to change
    parked: Sequence[bytes] = ()  # ordering keys whose messages wait behind a dead letter
    buried: Collection[tuple[int, int]] = ()  # ids and times of messages ahead that have open dead letters


@dataclass(frozen=True, kw_only=True, slots=True)
class NotAcquired:
    """Why the cursor could not be had: another relay owns it, or it is not to be trusted."""

    doubt: str | None
    owner: str | None
    lease_until: datetime | None
    divided_anew: bool = False  # messages fall to other shards than this relay's configuration says


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What a relay says of itself when it asks for a cursor."""

    pipeline_id: int
    group_id: int
    token: UUID
    relay_id: str
    lease_ms: int
    takeover_ms: int  # how long its last requests may take: a successor waits that long after the lease
    exactly_once: bool = False
    shard: int = 0
    division: int | None = None  # that its configuration was read under; None: nothing divides messages


def acquire(conn: Connection, claim: Claim) -> Acquired | NotAcquired:
    """Ask for a cursor."""
    values = {
        "group_id": claim.group_id,
        "shard": claim.shard,
        "division": claim.division,
        "token": claim.token,
        "relay_id": claim.relay_id,
        "lease_ms": claim.lease_ms,
        "takeover_ms": claim.takeover_ms,
    }
    with conn.transaction(), conn.cursor(row_factory=class_row(Acquired)) as cur:
        acquired = cur.execute(SQL(statement("cursor_acquire")), values).fetchone()
    hit("after_acquire")
    if acquired is not None:
        with conn.transaction():  # states READ COMMITTED: no predicate locks
            parked = conn.execute(
                SQL(statement("parked_keys")), {"pipeline_id": claim.pipeline_id}
            ).fetchall()
            buried = _buried(conn, claim, acquired) if claim.exactly_once else ()
        return replace(acquired, parked=[key for (key,) in parked], buried=buried)
    row = conn.execute(SQL(statement("cursor_doubt")), values).fetchone()
    doubt, owner, lease_until, divided_anew = row if row is not None else (None, None, None, True)
    return NotAcquired(doubt=doubt, owner=owner, lease_until=lease_until, divided_anew=divided_anew)


def _buried(conn: Connection, claim: Claim, acquired: Acquired) -> Collection[tuple[int, int]]:
    above = acquired.last_id if acquired.replay_last is None else acquired.replay_last
    values = {"pipeline_id": claim.pipeline_id, "above": above}
    return frozenset(conn.execute(SQL(statement("buried")), values).fetchall())


def renew(conn: Connection, owned: Sequence[Ownership], lease_ms: int) -> dict[tuple[int, int], bool | None]:
    """Prolong the leases of one process, by group id and shard.

    True, False (no longer the owner) or None (locked; ask again).
    """
    values = {
        "group_ids": [one.group_id for one in owned],
        "shards": [one.shard for one in owned],
        "token": owned[0].token,
        "epochs": [one.epoch for one in owned],
        "lease_ms": lease_ms,
    }
    with conn.transaction():
        rows = conn.execute(SQL(statement("cursor_renew")), values, prepare=True).fetchall()
    return {(group_id, shard): renewed for group_id, shard, renewed in rows}


def release(conn: Connection, owned: Ownership) -> None:
    """Sign off; everything sent must have been answered.

    No error: another relay took over already, or another transaction holds the row (a successor then has to wait).
    """
    hit("before_release")
    _ask(conn, "cursor_release", _owner(owned))


def pass_barrier(conn: Connection, owned: Ownership) -> bool | None:
    """This shard stands at the barrier: None: others do not yet, False: read the cursor again, which may be gone."""
    hit("before_shards_pass")
    go_on = _ask(conn, "shards_pass", _owner(owned))
    hit("after_shards_pass")
    return go_on


def _owner(owned: Ownership) -> dict[str, Any]:
    return {"group_id": owned.group_id, "shard": owned.shard, "token": owned.token, "epoch": owned.epoch}


class Letters(NamedTuple):
    """Dead letters of a pipeline that a settle passes."""

    pipeline_id: int
    version: int
    letters: Sequence[DeadLetter]


def settle(
    conn: Connection,
    owned: Ownership,
    position: Position,
    *,
    window_changed: bool,
    letters: Letters | None = None,
) -> None:
    """Write the position, and what could not be delivered before it; the snapshots only when the window changed.

    Raises NotOwnerError and CursorLockedError.
    """
    hit("before_settle")
    values: dict[str, Any] = {
        **_owner(owned),
        "generation": owned.generation,
        "timeline": owned.timeline,
        "last_id": position.last_id,
    }
    if window_changed:
        name = "cursor_settle_window"
        values |= {
            "prev": position.prev,
            "cur": position.cur,
            "first_id": position.first_id,
            "window_token": position.window_token,
        }
    else:
        name = "cursor_settle"
        values |= {"replay_from": position.replay_from, "replay_last": position.replay_last}
    with conn.transaction():
        touched = _call(conn, name, values)
        if touched is None:
            raise CursorLockedError
        if not touched:
            raise NotOwnerError
        if letters is not None and letters.letters:
            _add(conn, owned, letters)
    hit("after_settle")


def open_durably(
    conn: Connection, owned: Ownership, position: Position, sent: UUID | None, letters: Letters
) -> None:
    """Write a window or a replay pass down, and the name that Kafka's newest position bears, before a record is sent.

    Raises NotOwnerError and CursorLockedError.
    """
    hit("before_settle")
    values: dict[str, Any] = {
        **_owner(owned),
        "generation": owned.generation,
        "timeline": owned.timeline,
        "prev": position.prev,
        "cur": position.cur,
        "first_id": position.first_id,
        "last_id": position.last_id,
        "window_token": position.window_token,
        "replay_from": position.replay_from,
        "replay_last": position.replay_last,
        "sent_token": sent,
    }
    with conn.transaction():
        touched = _call(conn, "cursor_open", values)
        if touched is None:
            raise CursorLockedError
        if not touched:
            raise NotOwnerError
        if letters.letters:
            _add(conn, owned, letters)
    hit("after_settle")


def keep(conn: Connection, owned: Ownership, letters: Letters) -> None:
    """Keep dead letters before the cursor passes them, durably; NotOwnerError."""
    with conn.transaction():
        conn.execute(SQL(statement("durably")))
        _add(conn, owned, letters)


def _add(conn: Connection, owned: Ownership, letters: Letters) -> None:
    """Keep messages that could not be delivered; NotOwnerError when the pipeline is gone."""
    troubles = [letter.trouble for letter in letters.letters]
    values = {
        "pipeline_id": letters.pipeline_id,
        **_owner(owned),
        "version": letters.version,
        "message_ids": [letter.message_id for letter in letters.letters],
        "parked": [letter.trouble is None for letter in letters.letters],
        "parks": [letter.parks for letter in letters.letters],
        "ordering_keys": [letter.key for letter in letters.letters],
        **described(troubles),
    }
    row = conn.execute(SQL(statement("dead_letters_add")), values).fetchone()
    if row is None or row[0] is None:
        raise NotOwnerError


def described(troubles: Sequence[Trouble | None]) -> dict[str, list[str | None]]:
    """What happened to dead letters, as the columns of statements; nothing happened to those that only wait."""
    told = [
        (None,) * 4
        if trouble is None
        else (trouble.topic, str(trouble.error_class), trouble.code, trouble.cause)
        for trouble in troubles
    ]
    columns = map(list, zip(*told, strict=True)) if told else ([], [], [], [])
    return dict(zip(("topics", "error_classes", "error_codes", "errors"), columns, strict=True))


def _ask(conn: Connection, name: str, values: Mapping[str, Any]) -> bool | None:
    """Call a function in a transaction that states READ COMMITTED: whether it touched the cursor's row.

    Where the database's default is another level, a row that changed meanwhile would be an error instead of a no.
    """
    with conn.transaction():
        return _call(conn, name, values)


def _call(conn: Connection, name: str, values: Mapping[str, Any]) -> bool | None:
    row = conn.execute(SQL(statement(name)), values, prepare=True).fetchone()
    return cast(tuple[bool | None], row)[0]
