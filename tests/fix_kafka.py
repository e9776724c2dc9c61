"""Kafka: one broker for the whole run, topics per test."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from fix_run import Progress, or_skip
from pg_tide_dev.kafka import KafkaServer, create_topic, delete_topic, start_kafka
from pg_tide_dev.processes import Run

NewKafka = Callable[..., KafkaServer]
MakeTopic = Callable[..., str]
ReadTopic = Callable[..., list[Message]]


@pytest.fixture(scope="session")
def kafka(dev_run: Run, progress: Progress) -> KafkaServer:
    """One broker for the whole run; it creates topics on demand, as Kafka's default is. Never stop it."""
    return or_skip(lambda: start_kafka(dev_run, progress=progress))


@pytest.fixture
def kafka_cluster3(dev_run: Run, progress: Progress) -> Iterator[KafkaServer]:
    """Three nodes of the test's own, to kill, pause and restart; every topic has three copies."""
    cluster = or_skip(lambda: start_kafka(dev_run, nodes=3, progress=progress))
    yield cluster
    cluster.discard()


@pytest.fixture
def new_kafka(dev_run: Run, progress: Progress) -> Iterator[NewKafka]:
    """Starts a broker of the test's own, to kill or to configure: `new_kafka(properties={...})`."""
    clusters: list[KafkaServer] = []

    def start(**options: Any) -> KafkaServer:
        clusters.append(or_skip(lambda: start_kafka(dev_run, own=True, progress=progress, **options)))
        return clusters[-1]

    yield start
    for cluster in clusters:
        cluster.discard()


@pytest.fixture
def make_topic(kafka: KafkaServer) -> Iterator[MakeTopic]:
    """Creates topics of the test's own: `make_topic(partitions=6, config={"max.message.bytes": "1000"})`.

    `suffix` ends its name.
    """
    made: list[str] = []

    def make(partitions: int = 1, config: Mapping[str, str] | None = None, suffix: str = "") -> str:
        name = f"test-{secrets.token_hex(6)}{suffix}"
        create_topic(kafka.bootstrap, name, partitions=partitions, config=config)
        made.append(name)
        return name

    yield make
    for name in made:
        delete_topic(kafka.bootstrap, name)


@pytest.fixture
def topic(make_topic: MakeTopic) -> str:
    """A topic of the test's own with three partitions."""
    return make_topic(partitions=3)


@pytest.fixture
def read_topic(kafka: KafkaServer) -> ReadTopic:
    """Reads a topic from its beginning: `read_topic(topic, 5)` waits for five records and returns them all.

    With `count` None it reads what the topic holds now. Records of one partition are in their order; with
    `bootstrap` it reads from another cluster.
    """

    def read(
        name: str, count: int | None = None, *, timeout_seconds: float = 30, bootstrap: str = ""
    ) -> list[Message]:
        return read_records(bootstrap or kafka.bootstrap, name, count, timeout_seconds)

    return read


def read_records(bootstrap: str, topic: str, count: int | None, timeout_seconds: float) -> list[Message]:
    """Read at least `count` records, and everything up to the end as it is then."""
    return list(stream_records(bootstrap, topic, count, timeout_seconds))


def stream_records(
    bootstrap: str, topic: str, count: int | None = None, timeout_seconds: float = 30
) -> Iterator[Message]:
    """The same one by one: for topics that are not to be held in memory."""
    settings = {
        "bootstrap.servers": bootstrap,
        "group.id": f"test-{secrets.token_hex(4)}",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 10,
        "isolation.level": "read_committed",
        "log_level": 0,
    }
    consumer = Consumer(settings)
    deadline = time.monotonic() + timeout_seconds
    try:
        partitions = set(consumer.list_topics(topic, timeout=10).topics[topic].partitions)
        consumer.assign([TopicPartition(topic, partition, 0) for partition in partitions])
        found = 0
        at_end: set[int | None] = set()
        while found < (count or 0) or at_end != partitions:
            message = consumer.poll(0.1)
            if message is not None and message.error() is None:
                found += 1
                at_end.discard(message.partition())
                yield message
            elif message is not None and message.error().code() == KafkaError._PARTITION_EOF:
                at_end.add(message.partition())
            if time.monotonic() > deadline:
                wanted = count or "its end"
                pytest.fail(f"{found} records on {topic} after {timeout_seconds} s, wanted {wanted}")
    finally:
        consumer.close()
