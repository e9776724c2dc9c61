"""Both sides, one after the other: first the outbox at one snapshot, then the topics up to their ends.

In this order everything that the cursor has settled must be on the topics, and what is there but was not in the
snapshot is looked up once more: it may have been published since.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Final, NamedTuple, TypeVar

from confluent_kafka import Message, murmur2

from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.encode import Shape
from pg_tide_relay.errors import MessageError
from pg_tide_relay.topics_ensure import topics_of
from pg_tide_relay.verify.findings import (
    EXAMPLES_MAX,
    Example,
    Findings,
    Kind,
    Messages,
    Range,
    Records,
    Report,
    TopicPart,
)
from pg_tide_relay.verify.ledger import (
    DEAD_LETTER,
    ELSEWHERE,
    FILTERED,
    PASSED_OVER,
    UNSETTLED,
    Judged,
    Ledger,
)
from pg_tide_relay.verify.ledger import Kind as Taken
from pg_tide_relay.verify.outbox import OutboxReader, Topics
from pg_tide_relay.verify.topics import Identified, Partition, TopicReader, identify

FIRST_RECORDS: Final = 100
"""Of a partition whose beginning was removed, ids up to the largest of its first so many records are not compared.

Ids rise along a partition but for stragglers: one record alone, the first, may be one.
"""

_AT_ONCE: Final = 1_000

T = TypeVar("T")
Tell = Callable[[str, int, int | None], None]
"""(what is being done, how much of it is done, of how much where that is known)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What is to be compared."""

    pipeline: str
    from_id: int | None
    to_id: int | None
    limit: int  # of the newest messages at most so many


class _Stranger(NamedTuple):
    """A record whose message was not in the snapshot."""

    identity: Identified
    partition: int
    offset: int


class Comparison:
    """One run of the command."""

    def __init__(
        self, asked: Asked, outbox: OutboxReader, shape: Shape, config: PipelineConfig, tell: Tell
    ) -> None:
        """``shape`` is the relay's own, of the stored configuration."""
        self._asked = asked
        self._outbox = outbox
        self._shape = shape
        self._config = config
        self._tell = tell
        self._ledger = Ledger()
        self._topics = Topics()
        self._findings = Findings()
        self._records = Records()
        self._strangers: list[_Stranger] = []
        self._from_id, self._limited = self._lower_end()

    def _lower_end(self) -> tuple[int, str | None]:
        asked, left_out = self._asked, self._outbox.left_out(self._asked.limit)
        wanted = asked.from_id or 0
        if left_out is not None and left_out >= wanted:
            return left_out + 1, f"--limit {asked.limit}"
        return wanted, None if asked.from_id is None else f"--from {wanted}"

    def run(self) -> Report:
        """Compare; raises KafkaException, psycopg.Error and RegistryError."""
        self._outbox.enter_all(
            self._ledger,
            self._topics,
            self._shape,
            from_id=self._from_id,
            to_id=self._asked.to_id,
            tell=lambda done: self._tell("messages of the outbox read", done, None),
        )
        known, _ = topics_of(self._config, self._outbox.found.outbox)
        for name in known:
            self._topics.number_of(name)
        reader = TopicReader(self._config, self._asked.pipeline)
        try:
            reader.look(self._topics.names[1:])
            self._read(reader)
            reader.look_again()
            judged = self._ledger.judge(self._compacted(reader), EXAMPLES_MAX)
        finally:
            reader.close()
        messages = self._count_messages()
        removed = judged.removed + self._gaps(judged.missing, reader)
        messages.compared -= removed
        messages.removed_by_topic = removed
        self._order_breaks(judged, reader)
        return self._report(messages, reader)

    # -- records ---------------------------------------------------------------------------------------

    def _read(self, reader: TopicReader) -> None:
        total = sum(one.end - one.begin for one in reader.partitions)
        numbers = [self._topics.number_of(one.topic) for one in reader.partitions]
        for place, message in reader.read():
            self._take(message, reader.partitions[place], place, numbers[place])
            if len(self._strangers) >= _AT_ONCE:
                self._look_up_strangers(reader)
            self._records.read += 1
            if self._records.read % _AT_ONCE == 0:
                self._tell("records of the topics read", self._records.read, total)
        self._look_up_strangers(reader)

    def _take(self, message: Message, where: Partition, place: int, topic: int) -> None:
        identity, found = identify(message.headers()), self._outbox.found
        if identity is None or identity.outbox != found.outbox.encode():
            self._records.others += 1
            return
        _, message_id, created_us, is_copy = identity
        if is_copy:
            self._records.replayed += 1
            self._ledger.take_copy(message_id, created_us, topic)
            return
        where.records += 1
        if where.records <= FIRST_RECORDS:
            where.first_ids = max(where.first_ids, message_id)
        above = self._asked.to_id is not None and message_id > self._asked.to_id
        if message_id < self._from_id or above or created_us < found.created_us:
            self._records.out_of_range += 1
            return
        key, offset = message.key(), message.offset() or 0
        taken, _ = self._ledger.take(
            message_id,
            created_us,
            topic=topic,
            partition=place,
            offset=offset,
            key=key.encode() if isinstance(key, str) else key,
            is_empty=message.value() is None,
        )
        if taken is Taken.UNKNOWN:
            self._unknown(_Stranger(identity, place, offset))
        elif taken is not Taken.FIRST:
            kind = self._findings.duplicates if taken is Taken.DUPLICATE else self._findings.misplaced
            _count(kind, identity, where, offset)

    def _unknown(self, stranger: _Stranger) -> None:
        if stranger.identity.message_id <= self._outbox.found.dropped_to:
            self._records.dropped += 1
        else:
            self._strangers.append(stranger)

    def _look_up_strangers(self, reader: TopicReader) -> None:
        """Messages that were published or dropped meanwhile; the others are of no message."""
        strangers, self._strangers = self._strangers, []
        if not strangers:
            return
        known = self._outbox.known([one.identity.message_id for one in strangers])
        dropped_to = self._outbox.dropped_to()
        for identity, place, offset in strangers:
            _, message_id, created_us, _ = identity
            if (message_id, created_us) in known:
                self._records.later += 1
            elif message_id <= dropped_to:
                self._records.dropped += 1
            else:
                _count(self._findings.phantoms, identity, reader.partitions[place], offset)

    def _compacted(self, reader: TopicReader) -> frozenset[int]:
        there = {one.topic for one in reader.partitions}
        return frozenset(self._topics.number_of(name) for name in reader.compacted(sorted(there)))

    # -- the verdict -----------------------------------------------------------------------------------

    def _count_messages(self) -> Messages:
        counted = Messages(held=len(self._ledger))
        for flags in self._ledger.flags:
            if flags & UNSETTLED:
                counted.unsettled += 1
            elif flags & DEAD_LETTER:
                counted.dead_letters += 1
            elif flags & FILTERED:
                counted.filtered += 1
            elif flags & PASSED_OVER:
                counted.passed_over += 1
            else:
                counted.compared += 1
        return counted

    def _gaps(self, missing: Iterable[int], reader: TopicReader) -> int:
        """Tell what is missing; returns how many records may have been removed by their topic."""
        late = {one.topic for one in reader.partitions if one.begins_late}
        removed, doubtful = 0, []
        for place in missing:
            if self._topics.names[self._ledger.topic_of(place)] in late:
                doubtful.append(place)
            else:
                self._gap(place)
        for some in _in_parts(doubtful):
            rows = {row[0]: row for row in self._outbox.rows([self._ledger.ids[place] for place in some])}
            for place in some:
                row = rows.get(self._ledger.ids[place])
                try:
                    record = None if row is None else self._shape(row)
                except MessageError:
                    record = None
                bound = inf if record is None else _removed_to(reader, record.topic, record.key)
                if self._ledger.ids[place] <= bound:
                    removed += 1
                else:
                    self._gap(place)
        return removed

    def _gap(self, place: int) -> None:
        ledger, topic, note = self._ledger, self._ledger.topic_of(place), None
        if ledger.found_at(place) is not None:
            note = "its record is there, the tombstone behind it is missing"
        elif topic == 0:
            note = "this configuration can't make a record of it: see pg-tide preview"
        elif ledger.flags[place] & ELSEWHERE:
            note = "a record of it is on another topic"
        kind = self._findings.gaps
        kind.count += 1
        if kind.wants_example:
            name = None if topic == 0 else self._topics.names[topic]
            kind.examples.append(Example(id=ledger.ids[place], ts=ledger.times[place], topic=name, note=note))

    def _order_breaks(self, judged: Judged, reader: TopicReader) -> None:
        kind = self._findings.order_breaks
        kind.count = judged.break_count
        for late, before in judged.breaks:
            found = self._ledger.found_at(late)
            assert found is not None, "only what was found can stand in the wrong place"
            where = reader.partitions[found[0]]
            kind.examples.append(
                Example(
                    id=self._ledger.ids[late],
                    ts=self._ledger.times[late],
                    topic=where.topic,
                    partition=where.partition,
                    offset=found[1],
                    note=f"stands behind message {self._ledger.ids[before]} of the same key",
                )
            )

    def _report(self, messages: Messages, reader: TopicReader) -> Report:
        ledger, found = self._ledger, self._outbox.found
        return Report(
            pipeline=self._asked.pipeline,
            outbox=found.outbox,
            consumer_group=found.consumer_group,
            range=Range(
                from_id=ledger.ids[0] if ledger else None,
                from_ts=ledger.times[0] if ledger else None,
                to_id=ledger.ids[-1] if ledger else None,
                to_ts=ledger.times[-1] if ledger else None,
                limited=self._limited,
            ),
            messages=messages,
            records=self._records,
            partitions=[
                TopicPart(
                    topic=one.topic,
                    partition=one.partition,
                    begin=one.begin,
                    end=one.end,
                    records=one.records,
                )
                for one in reader.partitions
            ],
            missing_topics=reader.missing,
            findings=self._findings,
        )


def _in_parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[begin : begin + _AT_ONCE] for begin in range(0, len(values), _AT_ONCE))


def _count(kind: Kind, identity: Identified, where: Partition, offset: int) -> None:
    kind.count += 1
    if kind.wants_example:
        kind.examples.append(
            Example(
                id=identity.message_id,
                ts=identity.created_us,
                topic=where.topic,
                partition=where.partition,
                offset=offset,
            )
        )


def _removed_to(reader: TopicReader, topic: str, key: bytes | None) -> float:
    """Records of this key with ids up to this may have been removed with the beginning of their partition."""
    partitions = [one for one in reader.partitions if one.topic == topic]
    if key is not None:
        number = murmur2(key, len(partitions))
        partitions = [one for one in partitions if one.partition == number]
    return max((one.first_ids if one.records else inf for one in partitions if one.begins_late), default=-1)
