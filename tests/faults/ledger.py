"""What was committed against what arrived, and every way in which the two can disagree.

A message's identity is the pair (id, created_us): after a fail-over ids are used again. Arrived records are given
in the order of their partitions; between partitions there is no order, and none is asked for.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg
from confluent_kafka import Message

from pg_tide_wire_formats.headers import ID, TS

EXAMPLES = 5


class Identity(NamedTuple):
    """Names one message for ever."""

    id: int
    created_us: int


class Committed(NamedTuple):
    """A message that the database holds."""

    identity: Identity
    key: bytes | None  # the ordering key; None orders nothing


class Arrived(NamedTuple):
    """A record on the topic."""

    identity: Identity
    key: bytes | None
    partition: int = 0


class Overtaken(NamedTuple):
    """A record that stands before a predecessor of its key has appeared even once."""

    early: Identity
    missing: Identity


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The faults of a run. All empty: nothing is lost, invented or out of order. Duplicates are no fault."""

    lost: tuple[Identity, ...] = ()  # committed, never arrived
    phantom: tuple[Identity, ...] = ()  # arrived, not committed
    reordered: tuple[Identity, ...] = ()  # first occurrence behind that of a later message of the key
    overtaken: tuple[Overtaken, ...] = ()  # breaks what consumers are promised
    scattered: tuple[bytes, ...] = ()  # keys that are on several partitions

    def __str__(self) -> str:
        """Counts, with a few examples of each fault."""
        named = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return "; ".join(f"{len(found)} {name}: {found[:EXAMPLES]}" for name, found in named)

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return self == Verdict()


class Ledger:
    """Both sides of one outbox and one topic."""

    def __init__(self, committed: Iterable[Committed], arrived: Iterable[Arrived]) -> None:
        self.committed = tuple(committed)
        self.arrived = tuple(arrived)

    @property
    def verdict(self) -> Verdict:
        """Everything that is wrong."""
        return Verdict(
            lost=self.lost(),
            phantom=self.phantom(),
            reordered=self.reordered(),
            overtaken=self.overtaken(),
            scattered=self.scattered(),
        )

    @property
    def duplicates(self) -> int:
        """Records beyond the first of each message."""
        return len(self.arrived) - len({record.identity for record in self.arrived})

    def lost(self) -> tuple[Identity, ...]:
        """Messages that never arrived, in id order."""
        there = {record.identity for record in self.arrived}
        return tuple(sorted(one.identity for one in self.committed if one.identity not in there))

    def phantom(self) -> tuple[Identity, ...]:
        """Records of messages that the database does not hold, each message once, in the order of arrival."""
        known = {one.identity for one in self.committed}
        strange = (record.identity for record in self.arrived if record.identity not in known)
        return tuple(dict.fromkeys(strange))

    def reordered(self) -> tuple[Identity, ...]:
        """First occurrences that stand behind that of a larger id of the same key. Phantoms do not count."""
        known = {one.identity for one in self.committed}
        seen: set[Identity] = set()
        highest: dict[bytes, Identity] = {}
        late = []
        for record in self.arrived:
            if record.key is None or record.identity in seen or record.identity not in known:
                continue
            seen.add(record.identity)
            if record.identity < highest.get(record.key, record.identity):
                late.append(record.identity)
            highest[record.key] = max(record.identity, highest.get(record.key, record.identity))
        return tuple(late)

    def overtaken(self) -> tuple[Overtaken, ...]:
        """Where a record appears before each of its predecessors has appeared, per partition; once a gap."""
        expected: dict[bytes, list[Identity]] = defaultdict(list)
        for one in sorted(self.committed):
            if one.key is not None:
                expected[one.key].append(one.identity)
        place = {identity: n for identities in expected.values() for n, identity in enumerate(identities)}
        next_place: Counter[tuple[int, bytes]] = Counter()
        found = []
        for record in self.arrived:
            if record.key is None or record.identity not in place:
                continue
            where = (record.partition, record.key)
            if place[record.identity] > next_place[where]:
                missing = expected[record.key][next_place[where]]
                found.append(Overtaken(early=record.identity, missing=missing))
            next_place[where] = max(next_place[where], place[record.identity] + 1)
        return tuple(found)

    def scattered(self) -> tuple[bytes, ...]:
        """Keys on more than one partition: nothing orders them."""
        where: dict[bytes, set[int]] = defaultdict(set)
        for record in self.arrived:
            if record.key is not None:
                where[record.key].add(record.partition)
        return tuple(key for key, partitions in where.items() if len(partitions) > 1)

    def stale_keys(self) -> tuple[bytes, ...]:
        """Keys whose last record is not their newest message: no promise is broken, a compacted topic is wrong."""
        last = {record.key: record.identity for record in self.arrived if record.key is not None}
        newest: dict[bytes, Identity] = {}
        for record in self.arrived:
            if record.key is not None:
                newest[record.key] = max(record.identity, newest.get(record.key, record.identity))
        return tuple(key for key, identity in last.items() if identity != newest[key])


def committed_in(dsn: str, outbox: str) -> list[Committed]:
    """What the database holds of an outbox: the truth."""
    with psycopg.connect(dsn) as connection:
        found = connection.execute(
            """
            select m.id, (extract(epoch from m.created_at) * 1000000)::bigint, coalesce(m.key, m.dedup_key)
              from tide.message m join tide.outbox o on o.outbox_id = m.outbox_id where o.name = %s""",
            [outbox],
        )
        return [
            Committed(Identity(message_id, created_us), None if key is None else key.encode())
            for message_id, created_us, key in found
        ]


def arrived_on(records: Iterable[Message]) -> list[Arrived]:
    """The records of a topic, in the order they were read in."""
    return [Arrived(identity_of(record), record.key(), record.partition() or 0) for record in records]


def identity_of(record: Message) -> Identity:
    """The message that a record carries."""
    headers: dict[str, Any] = dict(record.headers() or [])
    return Identity(int(headers[ID]), int(headers[TS]))
