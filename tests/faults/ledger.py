"""What was committed against what arrived, and every way in which the two can disagree.

A message's identity is the pair (id, created_us): after a fail-over ids are used again. Arrived records are given
in the order of their partitions; between partitions there is no order, and none is asked for.

Both sides may be streams: of a message numbers and fingerprints are kept in place of its bytes, so a
million of them need less than 250 MB.
"""

import json
from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import psycopg
from confluent_kafka import Message

EXAMPLES = 5
_ID, _TS = "pg_tide_id", "pg_tide_ts"  # as consumers are told, not as the product has them
_ROWS_AT_A_TIME = 2000


class Identity(NamedTuple):
    """Names one message for ever."""

    id: int
    created_us: int


class Content(NamedTuple):
    """What a consumer finds in a record beside its key."""

    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Committed(NamedTuple):
    """A message that the database holds."""

    identity: Identity
    key: bytes | None  # the ordering key; None orders nothing
    content: Content | None = None  # None: nobody looks at it


class Arrived(NamedTuple):
    """A record on the topic."""

    identity: Identity
    key: bytes | None
    partition: int = 0
    content: Content | None = None
    at_ms: int = 0  # its timestamp


class Overtaken(NamedTuple):
    """A record that stands before a predecessor of its key has appeared even once."""

    early: Identity
    missing: Identity


class Wrong(NamedTuple):
    """A record that does not say what the message says."""

    identity: Identity
    part: str  # key, value or headers


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The faults of a run. All empty: nothing is lost, invented or out of order. Duplicates are no fault."""

    lost: tuple[Identity, ...] = ()  # committed, never arrived
    phantom: tuple[Identity, ...] = ()  # arrived, not committed
    reordered: tuple[Identity, ...] = ()  # first occurrence behind that of a later message of the key
    overtaken: tuple[Overtaken, ...] = ()  # breaks what consumers are promised
    scattered: tuple[bytes, ...] = ()  # keys that are on several partitions
    wrong: tuple[Wrong, ...] = ()  # other bytes than the message's

    def __str__(self) -> str:
        """Counts, with a few examples of each fault."""
        named = ((name, getattr(self, name)) for name in self.__dataclass_fields__)
        return "; ".join(f"{len(found)} {name}: {found[:EXAMPLES]}" for name, found in named)

    @property
    def counts(self) -> dict[str, int]:
        """How many of each fault."""
        return {name: len(getattr(self, name)) for name in self.__dataclass_fields__}

    @property
    def is_clean(self) -> bool:
        """Whether nothing is wrong."""
        return self == Verdict()


class Messages(Sequence[Committed]):
    """Every committed message, by identity, in arrays; a message is named by its place in this order."""

    def __init__(self, committed: Iterable[Committed]) -> None:
        self._ids, self._created = array("q"), array("q")
        self._key_numbers, self._values, self._headers = array("q"), array("q"), array("q")
        self._has_content = bytearray()
        self._keys: dict[bytes | None, int] = {}
        for one in committed:
            self._ids.append(one.identity.id)
            self._created.append(one.identity.created_us)
            self._key_numbers.append(self._keys.setdefault(one.key, len(self._keys)))
            self._has_content.append(one.content is not None)
            self._values.append(hash(one.content and one.content.value))
            self._headers.append(hash(one.content and one.content.headers))
        self._names = list(self._keys)
        self._sort()
        # The messages of each key in order, and the place of each message among those of its key.
        self.of_key = [array("q") for _ in self._names]
        self.place_in_key = array("q")
        for index, number in enumerate(self._key_numbers):
            self.place_in_key.append(len(self.of_key[number]))
            self.of_key[number].append(index)

    def _sort(self) -> None:
        order = sorted(range(len(self._ids)), key=lambda n: (self._ids[n], self._created[n]))
        for name in ("_ids", "_created", "_key_numbers", "_values", "_headers"):
            column = getattr(self, name)
            setattr(self, name, array("q", (column[n] for n in order)))
        self._has_content = bytearray(self._has_content[n] for n in order)

    def __len__(self) -> int:
        return len(self._ids)

    def __getitem__(self, index: Any) -> Any:
        return Committed(self.identity(index), self.key(index))

    def __iter__(self) -> Iterator[Committed]:
        return (self[index] for index in range(len(self)))

    def identity(self, index: int) -> Identity:
        """Which message has this place."""
        return Identity(self._ids[index], self._created[index])

    def key(self, index: int) -> bytes | None:
        """Its ordering key."""
        return self._names[self._key_numbers[index]]

    def key_number(self, index: int) -> int:
        """The number of its key."""
        return self._key_numbers[index]

    def created_us(self, index: int) -> int:
        """When it was published."""
        return self._created[index]

    def find(self, identity: Identity) -> int | None:
        """The place of a message; None when it is not committed."""
        index = bisect_left(self._ids, identity.id)
        while index < len(self._ids) and self._ids[index] == identity.id:
            if self._created[index] == identity.created_us:
                return index
            index += 1
        return None

    def differences(self, index: int, record: Arrived) -> Iterator[str]:
        """The parts of a record that are not those of the message."""
        if record.key != self.key(index):
            yield "key"
        if record.content is None or not self._has_content[index]:
            return
        if hash(record.content.value) != self._values[index]:
            yield "value"
        if hash(record.content.headers) != self._headers[index]:
            yield "headers"


class _Key:
    """What has been seen of one record key."""

    __slots__ = ("first_highest", "last", "newest", "partition")

    def __init__(self, record: Arrived) -> None:
        self.partition = record.partition
        self.newest = self.last = record.identity
        self.first_highest = -1  # place of the largest message whose first occurrence has passed


@dataclass
class _Found:
    phantom: dict[Identity, None] = field(default_factory=dict)
    reordered: list[Identity] = field(default_factory=list)
    overtaken: list[Overtaken] = field(default_factory=list)
    scattered: dict[bytes, None] = field(default_factory=dict)
    wrong: list[Wrong] = field(default_factory=list)


class Ledger:
    """Both sides of one outbox and one topic.

    With ``gone_before_us`` messages published before that time may be missing, and come in any order: they were on a
    topic that somebody deleted, and what is sent again of them stands behind what the new topic had already.
    """

    def __init__(
        self, committed: Iterable[Committed], arrived: Iterable[Arrived], *, gone_before_us: int = 0
    ) -> None:
        self.committed = Messages(committed)
        self.records = 0
        self.duplicate_times = array("q")  # timestamps of records beyond the first of each message
        self._gone_before_us = gone_before_us
        self._seen = bytearray(len(self.committed))
        self._keys: dict[bytes, _Key] = {}
        self._next_place: Counter[tuple[int, int]] = Counter()
        self._found = _Found()
        for record in arrived:
            self._take(record)

    @property
    def verdict(self) -> Verdict:
        """Everything that is wrong."""
        found = self._found
        return Verdict(
            lost=self.lost(),
            phantom=tuple(found.phantom),
            reordered=tuple(found.reordered),
            overtaken=tuple(found.overtaken),
            scattered=tuple(found.scattered),
            wrong=tuple(found.wrong),
        )

    @property
    def duplicates(self) -> int:
        """Records beyond the first of each message."""
        return len(self.duplicate_times)

    def lost(self) -> tuple[Identity, ...]:
        """Messages that never arrived, in id order."""
        return tuple(
            self.committed.identity(index)
            for index, seen in enumerate(self._seen)
            if not seen and self.committed.created_us(index) >= self._gone_before_us
        )

    def stale_keys(self) -> tuple[bytes, ...]:
        """Keys whose last record is not their newest message: no promise is broken, a compacted topic is wrong."""
        return tuple(key for key, seen in self._keys.items() if seen.last != seen.newest)

    def _take(self, record: Arrived) -> None:
        self.records += 1
        index = self.committed.find(record.identity)
        if index is None:
            if record.identity in self._found.phantom:
                self.duplicate_times.append(record.at_ms)
            self._found.phantom[record.identity] = None
        else:
            is_first = not self._seen[index]
            self._seen[index] = 1
            if not is_first:
                self.duplicate_times.append(record.at_ms)
            self._found.wrong += (
                Wrong(record.identity, part) for part in self.committed.differences(index, record)
            )
            self._look_for_overtaking(record, index)
        if record.key is None:
            return
        key = self._keys.setdefault(record.key, _Key(record))
        if key.partition != record.partition:
            self._found.scattered[record.key] = None
        key.newest, key.last = max(key.newest, record.identity), record.identity
        if index is not None and is_first and self.committed.created_us(index) >= self._gone_before_us:
            if index < key.first_highest:
                self._found.reordered.append(record.identity)
            key.first_highest = max(key.first_highest, index)

    def _look_for_overtaking(self, record: Arrived, index: int) -> None:
        if self.committed.key(index) is None:
            return
        number, place = self.committed.key_number(index), self.committed.place_in_key[index]
        where = (record.partition, number)
        if place > self._next_place[where]:
            between = self.committed.of_key[number][self._next_place[where] : place]
            missing = [one for one in between if self.committed.created_us(one) >= self._gone_before_us]
            if missing:
                self._found.overtaken.append(
                    Overtaken(early=record.identity, missing=self.committed.identity(missing[0]))
                )
        self._next_place[where] = max(self._next_place[where], place + 1)


def committed_in(dsn: str, outbox: str) -> Iterator[Committed]:
    """What the database holds of an outbox, with the records that the native format makes of it: the truth."""
    with psycopg.connect(dsn) as connection, connection.cursor("committed") as cursor:
        cursor.itersize = _ROWS_AT_A_TIME
        cursor.execute(
            """
            select m.id, (extract(epoch from m.created_at) * 1000000)::bigint, m.key, m.dedup_key, m.op, m.payload,
                   m.headers
              from tide.message m join tide.outbox o on o.outbox_id = m.outbox_id where o.name = %s""",
            [outbox],
        )
        for message_id, created_us, key, dedup_key, op, payload, own in cursor:
            identity = Identity(message_id, created_us)
            ordering = key if key is not None else dedup_key
            headers = [("pg_tide_outbox", outbox), ("pg_tide_op", op), (_ID, str(message_id))]
            headers += [("pg_tide_dedup_key", dedup_key)] if dedup_key is not None else []
            headers += [(_TS, str(created_us)), *json.loads(own or "{}").items()]
            content = Content(
                b"null" if payload is None else payload.encode(),
                tuple((name, value.encode()) for name, value in headers),
            )
            yield Committed(identity, None if ordering is None else ordering.encode(), content)


def arrived_on(records: Iterable[Message]) -> Iterator[Arrived]:
    """The records of a topic, in the order they were read in."""
    for record in records:
        content = Content(record.value(), tuple(record.headers() or ()))
        yield Arrived(
            identity_of(record), record.key(), record.partition() or 0, content, record.timestamp()[1]
        )


def identity_of(record: Message) -> Identity:
    """The message that a record carries."""
    headers: dict[str, Any] = dict(record.headers() or [])
    return Identity(int(headers[_ID]), int(headers[_TS]))
