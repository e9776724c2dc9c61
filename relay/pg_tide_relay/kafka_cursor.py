"""How far a pipeline has come, as Kafka knows it: a record inside each transaction, found again at the next start.

The record holds the random name of a window (or replay pass) and the id of its last message, never a snapshot: what
a snapshot calls ended is known to PostgreSQL only. Whoever was in PostgreSQL's place before a crash, a fail-over or a
restore knew other names; so a name that the cursor's row does not know means that the database was set back.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType

from pg_tide_relay.config.models import PipelineConfig, TopicsConfig
from pg_tide_relay.cursor import Position
from pg_tide_relay.kafka_config import admin_properties, consumer_properties
from pg_tide_relay.topic_admin import CreationError, TopicCreator, TopicLook

PARTITION: Final = 0
"""All positions of a cluster's pipelines: more partitions could not be added without losing sight of older ones."""

_ANSWER_S: Final = 5.0
_FIRST_SPAN: Final = 1_000
_WIDER: Final = 8
_COMPACTED: Final = "compact"


class Mark(NamedTuple):
    """What the newest record of a cursor says."""

    token: UUID  # the window or the replay pass
    last_id: int  # of it, and all before, is in committed transactions

    def as_value(self) -> bytes:
        """The record's value."""
        return json.dumps({"window": str(self.token), "last_id": self.last_id}).encode()

    @classmethod
    def from_value(cls, value: bytes) -> "Mark":
        """The mark that a record holds."""
        found = json.loads(value)
        return cls(UUID(found["window"]), int(found["last_id"]))


class DatabaseOlderError(Exception):
    """Kafka holds a position that this database has never known: it was set back."""


def is_durable(position: Position, known: Sequence[UUID] | None) -> bool:
    """Whether records may be sent behind this position: between two windows none are, else its name has to be known."""
    if position.cur is None and not position.replaying:
        return True
    return position.window_token is not None and known is not None and position.window_token in known


def named(position: Position) -> Position:
    """The same, with a random name where it has none: that of a window or replay pass."""
    return position if position.window_token is not None else replace(position, window_token=uuid4())


def where_to_go_on(position: Position, known: Sequence[UUID] | None, mark: Mark | None) -> Position:
    """The position behind everything that is in committed transactions.

    ``known``: the names that the newest record may bear, None: any. Raises DatabaseOlderError.
    """
    if mark is None:
        return position
    if mark.token == position.window_token:
        done = position.replay_last if position.replaying else position.last_id
        return position.at(max(done or 0, mark.last_id))
    if known is not None and mark.token not in known:
        raise DatabaseOlderError
    return position


class KafkaCursor:
    """The records of one cursor. Everything waits for the cluster: for a worker's thread."""

    def __init__(self, config: PipelineConfig, pipeline: str, key: str) -> None:
        """``key`` of the records: the group's random name and the shard's number."""
        self.topic = config.transactions.cursor_topic
        self.key = key.encode()
        self._admin = admin_properties(config, pipeline)
        self._consumer = consumer_properties(config, pipeline)
        self._is_there = False

    def ensure_topic(self) -> None:
        """Create the topic where it is missing; KafkaException or CreationError says why there is none that serves."""
        if self._is_there:
            return
        if not TopicLook(self._admin).exists(self.topic, _ANSWER_S):
            wanted = TopicsConfig(
                policy="create", partitions=1, replication=None, configs={"cleanup.policy": _COMPACTED}
            )
            TopicCreator(self._admin, wanted).create(self.topic, _ANSWER_S)
        self._refuse_unless_kept()
        self._is_there = True

    def look_again(self) -> None:
        """The topic may be gone."""
        self._is_there = False

    def _refuse_unless_kept(self) -> None:
        """A topic that forgets by time or size would forget where a pipeline stands. Not asked where it may not be."""
        resource = ConfigResource(ResourceType.TOPIC, self.topic)
        admin = AdminClient(self._admin)  # a client that nobody holds ends its questions
        (answer,) = admin.describe_configs([resource], request_timeout=_ANSWER_S).values()
        try:
            policy = answer.result()["cleanup.policy"].value
        except KafkaException as unanswered:
            if unanswered.args[0].code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
                return
            raise
        if policy != _COMPACTED:
            cause = (
                f"topic {self.topic} has cleanup.policy={policy}: it would forget how far pipelines have come"
            )
            raise CreationError(KafkaError(KafkaError.INVALID_CONFIG, cause))

    def newest(self, patience_s: float) -> bytes | None:
        """The newest committed record; None: there is none. Blocks until every transaction begun before has ended.

        Reads from the end backwards, as far as it has to. KafkaException, _TIMED_OUT when somebody else's transaction
        stays open so long: what lies behind it is not told before it ends.
        """
        where = TopicPartition(self.topic, PARTITION)
        begin, end = self._bounds(where)
        span = _FIRST_SPAN
        consumer = Consumer(self._consumer)
        try:
            while begin < end:
                start = max(begin, end - span)
                found = self._last_between(consumer, start, end, monotonic() + patience_s)
                if found is not None or start == begin:
                    return found
                span *= _WIDER
        finally:
            consumer.close()
        return None

    def _bounds(self, where: TopicPartition) -> tuple[int, int]:
        """First offset and high watermark. A consumer that reads committed records only would not tell the latter."""
        admin = AdminClient(self._admin)
        found = []
        for spec in (OffsetSpec.earliest(), OffsetSpec.latest()):  # type: ignore[no-untyped-call]
            asked: Mapping[TopicPartition, Any] = admin.list_offsets(
                {where: spec}, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=_ANSWER_S
            )
            found.append(int(asked[where].result().offset))
        return found[0], found[1]

    def _last_between(self, consumer: Consumer, start: int, end: int, until: float) -> bytes | None:
        consumer.assign([TopicPartition(self.topic, PARTITION, start)])
        newest: bytes | None = None
        while monotonic() < until:
            message = consumer.poll(0.05)
            if message is None:
                continue
            error, offset = message.error(), message.offset() or 0
            if error is None:
                if offset >= end:
                    return newest
                newest = message.value() if message.key() == self.key else newest
            elif error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            elif offset >= end:
                return newest
        cause = f"another pipeline's transaction is open on topic {self.topic}: what follows is known when it ends"
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, cause))
