"""Which cursors each living relay drives: a rule that every relay applies by itself to what one statement has read.

A free cursor goes to the relay that drives the fewest of those that could drive it; a relay that drives at least two
more than another gives one back that the other could drive. Each such move makes the numbers more equal and none
makes them less, so all comes to rest: at a difference of at most one where every relay can drive every cursor.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from pg_tide_relay.cursor import Unit

_MOVES_MAX: Final = 8
"""Cursors that are on their way from one relay to another at a time: nobody drives them meanwhile."""

_PATIENCE_S: Final = 3.0
"""After this long a free cursor is taken by whoever can drive it: who was to have it hangs, or has died."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitSeen:
    """A cursor as one look at the database has found it."""

    unit: Unit
    owner: UUID | None  # token of the process whose lease holds, or whose last requests may be under way
    able: frozenset[UUID]  # tokens of the living relays that could drive it


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """What one relay does next."""

    mine: frozenset[Unit]  # what it owns, and what it asks for
    gives: frozenset[Unit]  # what it signs off from, out of these


def share_out(
    units: Iterable[UnitSeen], me: UUID, *, kept: Collection[Unit] = (), giving: Collection[Unit] = ()
) -> Share:
    """The share of the relay with this token.

    ``kept``: what it owns and can't give back now; ``giving``: what it has begun to give back, and owns still.

    Deterministic: relays that see the same come to the same whole, of which each does its part. What others are
    about to take or give counts as done.
    """
    load: dict[UUID, int] = {}
    owned: dict[UUID, list[UnitSeen]] = defaultdict(list)
    free: list[UnitSeen] = []
    for seen in sorted(units, key=lambda seen: seen.unit):
        for token in seen.able:
            load.setdefault(token, 0)
        if seen.owner is None:
            free.append(seen)
        elif seen.owner in seen.able:
            load[seen.owner] += 1
            owned[seen.owner].append(seen)
    mine = {seen.unit for seen in owned[me]} | {seen.unit for seen in _taken(free, load, me)}
    owned[me] = [seen for seen in owned[me] if seen.unit not in kept]
    owned[me].sort(key=lambda seen: seen.unit not in giving)
    gives = frozenset(seen.unit for seen in _given(owned, load, me))
    return Share(mine=frozenset(mine), gives=gives)


def _taken(free: Sequence[UnitSeen], load: dict[UUID, int], me: UUID) -> Iterable[UnitSeen]:
    """Those of the free cursors that go to this relay; first those that the fewest could drive."""
    for seen in sorted(free, key=lambda seen: (len(seen.able), seen.unit)):
        if seen.able:
            taker = min(seen.able, key=lambda token: (load[token], token))
            load[taker] += 1
            if taker == me:
                yield seen


def _given(owned: dict[UUID, list[UnitSeen]], load: dict[UUID, int], me: UUID) -> Iterable[UnitSeen]:
    """Those of its own that this relay gives back."""
    for _ in range(_MOVES_MAX):
        move = _move(owned, load)
        if move is None:
            return
        rich, poor, seen = move
        load[rich] -= 1
        load[poor] += 1
        owned[rich].remove(seen)
        if rich == me:
            yield seen


def _move(owned: dict[UUID, list[UnitSeen]], load: dict[UUID, int]) -> tuple[UUID, UUID, UnitSeen] | None:
    """From the relay that drives the most to the one that drives the fewest, if it can drive one of these."""
    poorest_first = sorted(load, key=lambda token: (load[token], token))
    for rich in reversed(poorest_first):
        for poor in poorest_first:
            if load[rich] - load[poor] < 2:
                break
            for seen in owned.get(rich, ()):
                if poor in seen.able:
                    return rich, poor, seen
    return None


class FairShare:
    """The same with a memory: for how long a cursor has been free."""

    def __init__(self, me: UUID) -> None:
        """``me`` is the owner token of this process."""
        self._me = me
        self._free_since: dict[Unit, float] = {}

    def decide(
        self,
        units: Iterable[UnitSeen],
        *,
        runs: Collection[int],
        kept: Collection[Unit],
        giving: Collection[Unit],
        now: float,
    ) -> Share:
        """The share by what was seen just now; ``runs``: pipelines that this process could drive.

        What this process says of itself counts before the database has heard of it, and also where it never does,
        because another process goes by the same id.
        """
        alone = frozenset({self._me})
        known = [
            replace(seen, able=seen.able | alone if seen.unit.pipeline_id in runs else seen.able - alone)
            for seen in units
        ]
        share = share_out(known, self._me, kept=kept, giving=giving)
        free = {seen.unit for seen in known if seen.owner is None and self._me in seen.able}
        self._free_since = {unit: self._free_since.get(unit, now) for unit in free}
        overdue = {unit for unit, since in self._free_since.items() if now - since >= _PATIENCE_S}
        return replace(share, mine=share.mine | overdue)
