"""The side of Kafka: what the topics of a pipeline hold, read by a consumer that commits nothing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType

from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.kafka_config import admin_properties, consumer_properties
from pg_tide_relay.topic_admin import is_missing
from pg_tide_wire_formats.headers import ID, OUTBOX, REPLAY, TS

_ANSWER_S: Final = 15.0
"""How long a question to the cluster may take."""

_SILENCE_S: Final = 60.0
"""How long no record may come while there are some."""

_AT_ONCE: Final = 1_000
_WAIT_S: Final = 0.1


class Identified(NamedTuple):
    """What the headers of a record say."""

    outbox: bytes
    message_id: int
    created_us: int
    is_copy: bool = False  # sent by a replay


@dataclass(kw_only=True, slots=True)
class Partition:
    """One partition of one topic, as it was when the reading began."""

    topic: str
    partition: int
    begin: int  # the first offset that it holds
    end: int  # read up to here
    records: int = 0  # of the outbox that is compared, found so far
    first_ids: int = -1  # the largest id among the first of them

    @property
    def begins_late(self) -> bool:
        """Whether older records were removed."""
        return self.begin > 0


class TopicReader:
    """Reads topics to their ends as they were at a time; for one pipeline."""

    def __init__(self, config: PipelineConfig, pipeline: str) -> None:
        """Connects in the background; KafkaException when the client refuses a property."""
        self._properties = admin_properties(config, pipeline)
        self._errors: list[KafkaError] = []
        self._consumer = Consumer({**consumer_properties(config, pipeline), "error_cb": self._errors.append})
        self.partitions: list[Partition] = []
        """Numbered by their place; known after ``look``."""
        self.missing: list[str] = []
        """Topics that do not exist."""

    def look(self, topics: Iterable[str]) -> None:
        """Ask for the partitions of these topics and for what they hold; KafkaException says why they can't be told."""
        for topic in topics:
            found = self._consumer.list_topics(topic, timeout=_ANSWER_S).topics[topic]
            if found.error is not None and is_missing(found.error):
                self.missing.append(topic)
                continue
            if found.error is not None:
                raise KafkaException(found.error)
            for number in sorted(found.partitions):
                begin, end = self._consumer.get_watermark_offsets(
                    TopicPartition(topic, number), timeout=_ANSWER_S
                )
                self.partitions.append(Partition(topic=topic, partition=number, begin=begin, end=end))

    def look_again(self) -> None:
        """What was removed while the topics were read counts as removed before."""
        for one in self.partitions:
            where = TopicPartition(one.topic, one.partition)
            begin, _ = self._consumer.get_watermark_offsets(where, timeout=_ANSWER_S)
            one.begin = max(one.begin, begin)

    def count_of(self, topic: str) -> int:
        """The number of partitions of a topic."""
        return sum(one.topic == topic for one in self.partitions)

    def compacted(self, topics: Sequence[str]) -> list[str]:
        """Those of the topics that forget older records of a key, as far as their settings may be read."""
        admin = AdminClient(self._properties)
        found = []
        for topic in topics:
            resource = ConfigResource(ResourceType.TOPIC, topic)
            (answer,) = admin.describe_configs([resource], request_timeout=_ANSWER_S).values()
            try:
                policy = answer.result()["cleanup.policy"].value or ""
            except KafkaException:
                continue
            if "compact" in policy:
                found.append(topic)
        return found

    def read(self) -> Iterator[tuple[int, Message]]:
        """Number of the partition and record, up to each partition's end; KafkaException when they can't be read."""
        places = {(one.topic, one.partition): place for place, one in enumerate(self.partitions)}
        left = {place for place, one in enumerate(self.partitions) if one.begin < one.end}
        self._consumer.assign(
            [
                TopicPartition(one.topic, one.partition, one.begin)
                for place, one in enumerate(self.partitions)
                if place in left
            ]
        )
        heard = monotonic()
        while left:
            messages = self._consumer.consume(_AT_ONCE, timeout=_WAIT_S)
            if messages:
                heard = monotonic()
            elif monotonic() - heard > _SILENCE_S:
                raise KafkaException(self._silence())
            for message in messages:
                place = places[str(message.topic()), int(message.partition() or 0)]
                if self._is_past(place, message):
                    left.discard(place)
                elif place in left:
                    yield place, message
                    if (message.offset() or 0) >= self.partitions[place].end - 1:
                        left.discard(place)

        self._consumer.unassign()

    def _is_past(self, place: int, message: Message) -> bool:
        error = message.error()
        if error is None:
            return (message.offset() or 0) >= self.partitions[place].end
        if error.code() == KafkaError._PARTITION_EOF:
            return True
        raise KafkaException(error)

    def _silence(self) -> KafkaError:
        return self._errors[-1] if self._errors else KafkaError(KafkaError._TIMED_OUT)

    def close(self) -> None:
        """Leave; nothing was committed."""
        self._consumer.close()


def identify(headers: Any) -> Identified | None:
    """Whose record it is; None: not one of ours."""
    outbox = message_id = created_us = None
    is_copy = False
    for name, value in headers or ():
        if name == ID:
            message_id = value
        elif name == TS:
            created_us = value
        elif name == OUTBOX:
            outbox = value
        elif name == REPLAY:
            is_copy = True
    if outbox is None or message_id is None or created_us is None:
        return None
    try:
        return Identified(outbox, int(message_id), int(created_us), is_copy)
    except ValueError:
        return None
