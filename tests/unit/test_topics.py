"""Answers about a topic that a good cluster gives seldom: what delivery does with them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from pg_tide_relay.backoff import Backoff
from pg_tide_relay.delivery_state import Trouble
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.produce import RecordProducer
from pg_tide_relay.topic_admin import CreationError, TopicCreator
from pg_tide_relay.topics import TopicChecks


class Cluster:
    """A producer and a creator in one, whose answers the test gives; counts what it was asked."""

    def __init__(self) -> None:
        self.partitions: int | KafkaError = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
        self.refusal: KafkaError | None = None
        self.looks = self.creations = 0

    def look_up_topic(self, _topic: str, _timeout_s: float) -> int:
        self.looks += 1
        if isinstance(self.partitions, KafkaError):
            raise KafkaException(self.partitions)
        return self.partitions

    def create(self, _topic: str, _timeout_s: float) -> bool:
        self.creations += 1
        if self.refusal is not None:
            raise CreationError(self.refusal)
        return True


class Checks:
    """Checks of one topic, on a clock that the test moves."""

    def __init__(self, worker: ThreadPoolExecutor) -> None:
        self.now = 100.0
        self.cluster = Cluster()
        self.checks = TopicChecks(
            worker,
            lambda: self.now,
            broker_creates=False,
            creator=cast(TopicCreator, self.cluster),
            backoff=Backoff(chance=lambda: 1.0),
        )
        self.checks.want("orders")

    def ask(self) -> Trouble | None:
        """One question and its answer."""
        producer = cast(RecordProducer, self.cluster)
        assert self.checks.step(producer) is None
        self.checks.wait(30)
        return self.checks.step(producer)


@pytest.fixture
def checks() -> Iterator[Checks]:
    with ThreadPoolExecutor(max_workers=1) as worker:
        yield Checks(worker)


def test_a_created_topic_that_is_not_known_everywhere_yet_is_looked_for_and_not_created_again(
    checks: Checks,
) -> None:
    assert [checks.ask(), checks.ask()] == [None, None]
    checks.now += 0.05
    checks.cluster.partitions = 3
    assert checks.ask() is None
    assert (checks.cluster.creations, checks.checks.ready) == (1, {"orders": 3})


def test_a_created_topic_that_stays_unknown_is_said_and_created_again(checks: Checks) -> None:
    """Somebody deleted it before it was found."""
    assert checks.ask() is None
    checks.now += 2.1
    trouble = checks.ask()
    assert trouble is not None
    assert (trouble.error_class, trouble.topic) == (ErrorClass.DESTINATION, "orders")
    checks.now += 0.5
    assert checks.ask() is None
    assert checks.cluster.creations == 2


def test_a_refused_creation_is_tried_again_at_growing_distances(checks: Checks) -> None:
    """Each time it is said, at first after half a second, and looked for first: somebody may have created it."""
    checks.cluster.refusal = KafkaError(KafkaError.INVALID_REPLICATION_FACTOR)
    for attempts, pause_s in enumerate((0.5, 1.0, 2.0), start=1):
        trouble = checks.ask()
        assert trouble is not None
        assert trouble.error_class is ErrorClass.CONFIGURATION
        assert (trouble.attempts, trouble.pause_s) == (attempts, pause_s)
        checks.now += pause_s * 0.9
        looks = checks.cluster.looks
        assert checks.checks.step(cast(RecordProducer, checks.cluster)) is None
        assert checks.cluster.looks == looks
        checks.now += pause_s * 0.1 + 0.001
    checks.cluster.partitions = 1
    assert checks.ask() is None
    assert checks.checks.ready == {"orders": 1}


def test_nothing_is_created_while_the_cluster_does_not_say_whether_the_topic_is_there(checks: Checks) -> None:
    """Away, or without the right to look: an answer that is none."""
    for code in (KafkaError._TRANSPORT, KafkaError.TOPIC_AUTHORIZATION_FAILED):
        checks.cluster.partitions = KafkaError(code)
        trouble = checks.ask()
        assert trouble is not None
        # The client asks an absent cluster all the time; a pause is for what somebody has to cure.
        assert (trouble.attempts is None) == (code == KafkaError._TRANSPORT)
        checks.now += 1.0
    assert checks.cluster.creations == 0
