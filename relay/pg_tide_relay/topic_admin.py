"""Looks for topics and creates them, through the cluster's admin API.

Everything here waits for the cluster: for a worker thread, or a command. A client lives as long as one question
or one command; letting go of it ends its threads and connections.
"""

from collections.abc import Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from pg_tide_relay.config.models import TopicsConfig

_BY_DEFAULT = -1  # "the broker's", in Kafka's protocol

_MISSING = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC})

# What clients of clusters that refuse them hear beside the time-out of their question.
_PARTICULAR = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL, KafkaError._RESOLVE})


class CreationError(Exception):
    """A topic that is missing could not be created."""

    def __init__(self, error: KafkaError) -> None:
        """Keep what the cluster, or the client, has to say."""
        super().__init__(error.str())
        self.error = error


class TopicCreator:
    """Creates the topics of one pipeline as its configuration wants them; never changes one that exists."""

    def __init__(self, properties: Mapping[str, Any], wanted: TopicsConfig) -> None:
        """Nothing connects before ``create``. ``properties``: those of an admin client."""
        self._properties = dict(properties)
        self._wanted = wanted

    def create(self, topic: str, timeout_s: float) -> bool:
        """Return when it exists, False when somebody else made it meanwhile; CreationError when it was refused."""
        refused = self._attempt(topic, timeout_s)
        if refused is None:
            return True
        if refused.code() == KafkaError.TOPIC_ALREADY_EXISTS:
            return False
        raise CreationError(refused)

    def _attempt(self, topic: str, timeout_s: float) -> KafkaError | None:
        # The client must be gone when this returns: whoever let go of it later, on the main thread perhaps,
        # would wait for its threads. So no exception that leaves may have it in its traceback.
        wanted = self._wanted
        new = NewTopic(
            topic,
            num_partitions=wanted.partitions or _BY_DEFAULT,
            replication_factor=wanted.replication or _BY_DEFAULT,
            config=dict(wanted.configs or {}),
        )
        try:
            client = AdminClient(self._properties)
            done = client.create_topics([new], operation_timeout=timeout_s, request_timeout=timeout_s)[topic]
        except KafkaException as error:
            return _kafka_error(error)
        refused = done.exception()
        return None if refused is None else _kafka_error(refused)


def _kafka_error(raised: BaseException) -> KafkaError:
    known = raised.args[0] if raised.args else None
    return known if isinstance(known, KafkaError) else KafkaError(KafkaError._FAIL, str(raised))


class TopicLook:
    """Looks for topics without making the broker create them."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        """Start a client; KafkaException when it refuses a property. ``properties``: those of an admin client."""
        self._heard: list[KafkaError] = []
        options: dict[str, Any] = {**properties, "error_cb": self._heard.append}
        self._client = AdminClient(options)

    def exists(self, topic: str, timeout_s: float) -> bool:
        """Whether the cluster has the topic; KafkaException when it does not say, with the best cause known."""
        try:
            error = self._client.list_topics(topic, timeout=timeout_s).topics[topic].error
        except KafkaException as unanswered:
            self._client.poll(0)
            particular = next((heard for heard in self._heard if heard.code() in _PARTICULAR), None)
            raise KafkaException(particular or unanswered.args[0]) from None
        if error is None:
            return True
        if error.code() in _MISSING:
            return False
        raise KafkaException(error)


def is_missing(error: KafkaError) -> bool:
    """Whether this answer about a topic says that there is none."""
    return error.code() in _MISSING
