"""The position of a consumer group, as plain values; no database and no time in here.

A cursor stands in one of three places: in a replay pass (messages visible in ``prev`` are sent again), in a
window (messages visible in ``cur`` and not in ``prev``), or between two windows (``cur`` is None).
The rules are those of docs/decisions/0001-cursor.md.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Self
from uuid import UUID

FROM_THE_BEGINNING: Final = "1:1:"
"""A snapshot in which nothing has ended yet: where a group starts that is to see everything."""

NO_MAIN_PART: Final = 2**63 - 1
"""First id of a window that has stragglers only: no message that began after ``prev`` is asked for."""


class Unit(NamedTuple):
    """What a relay drives, under a lease: one shard of a pipeline, with a cursor of its own."""

    pipeline_id: int
    shard: int


def snapshot_xmax(snapshot: str) -> int:
    """One past the latest transaction that had ended when the snapshot was taken."""
    return int(snapshot.split(":")[1])


def snapshot_running(snapshot: str) -> list[str]:
    """Transactions that were running in the snapshot and began before its xmax: where stragglers come from."""
    listed = snapshot.split(":")[2]
    return listed.split(",") if listed else []


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """How far a group has come. Moves forward by the methods below; each returns a new position."""

    prev: str  # everything visible in this snapshot is done
    cur: str | None = None  # end of the open window
    first_id: int | None = None  # smallest id of the window's messages that began after prev
    last_id: int = 0  # the window's messages up to this id are done
    window_token: UUID | None = None  # random name of the open window; of a replay pass where that is needed
    replay_from: int | None = None  # a rewind's target
    replay_last: int | None = None  # the replay pass is done up to this id

    @property
    def replaying(self) -> bool:
        """Whether a replay pass comes before the next window."""
        return self.replay_last is not None

    def open(self, cur: str, first_id: int, token: UUID) -> Self:
        """Open a window; only between two windows."""
        return replace(self, cur=cur, first_id=first_id, last_id=0, window_token=token)

    def at(self, message_id: int) -> Self:
        """Everything up to this message of the window or of the replay pass is done."""
        if self.replaying:
            return replace(self, replay_last=message_id)
        return replace(self, last_id=message_id)

    def exhausted(self) -> Self:
        """No message is left in the replay pass or in the window: the next window comes."""
        if self.replaying:
            return replace(self, replay_from=None, replay_last=None, window_token=None)
        return type(self)(prev=self.cur or self.prev)

    def same_window(self, other: "Position") -> bool:
        """Whether settling from one to the other leaves the snapshots alone."""
        return (self.prev, self.cur) == (other.prev, other.cur)


@dataclass(frozen=True, kw_only=True, slots=True)
class CursorRow:
    """The columns of a cursor's row that say where it stands; the base of what is read with them."""

    prev: str
    cur: str | None
    first_id: int | None
    last_id: int
    window_token: UUID | None
    replay_from: int | None
    replay_last: int | None

    def position(self) -> Position:
        """Where to go on."""
        return Position(
            prev=self.prev,
            cur=self.cur,
            first_id=self.first_id,
            last_id=self.last_id,
            window_token=self.window_token,
            replay_from=self.replay_from,
            replay_last=self.replay_last,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Ownership:
    """What a settle compares: anything else in the row means that this relay must read the cursor again."""

    group_id: int
    token: UUID  # this process
    epoch: int  # counts owners
    generation: int  # raised by rewind, skip and rebase
    timeline: int  # of the server that the cursor was read on
    connection: int  # number of the writing connection that it was read on
    shard: int = 0  # of the group
