"""The newest committed record of a cursor is found, whatever others do on the same topic."""

from collections.abc import Callable
from uuid import UUID

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from delivery_kit import a_config
from fix_kafka import MakeTopic
from pg_tide_dev.kafka import KafkaServer
from pg_tide_relay.kafka_cursor import KafkaCursor, Mark

NewWriter = Callable[[str], Producer]
HERE = "pg-tide-here-0"


def mark(number: int) -> bytes:
    return Mark(UUID(int=number), number).as_value()


@pytest.fixture
def topic(make_topic: MakeTopic) -> str:
    return make_topic(config={"cleanup.policy": "compact"})


@pytest.fixture
def cursor(kafka: KafkaServer, topic: str) -> KafkaCursor:
    config = a_config(brokers=kafka.bootstrap, delivery="exactly_once", transactions={"cursor_topic": topic})
    return KafkaCursor(config, "orders", HERE)


@pytest.fixture
def writer(kafka: KafkaServer, topic: str) -> NewWriter:
    """A producer in its first transaction."""

    def make(name: str) -> Producer:
        made = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": f"{topic}-{name}"})
        made.init_transactions(30)
        made.begin_transaction()
        return made

    return make


def test_there_is_none_at_first(cursor: KafkaCursor) -> None:
    assert cursor.newest(10) is None


def test_hazard_11_what_was_committed_behind_somebodys_open_transaction_is_waited_for(
    cursor: KafkaCursor, topic: str, writer: NewWriter
) -> None:
    """A reader of committed records stops in front of it, and would take an older position for the newest."""
    here, other = writer("here"), writer("other")
    here.produce(topic, mark(1), HERE)
    here.commit_transaction(30)
    other.produce(topic, mark(7), "pg-tide-other-0")
    other.flush(30)
    here.begin_transaction()
    here.produce(topic, mark(2), HERE)
    here.commit_transaction(30)
    with pytest.raises(KafkaException) as refused:
        cursor.newest(0.5)
    assert refused.value.args[0].code() == KafkaError._TIMED_OUT
    assert topic in refused.value.args[0].str()
    other.commit_transaction(30)
    assert cursor.newest(30) == mark(2)


def test_what_was_taken_back_does_not_count(cursor: KafkaCursor, topic: str, writer: NewWriter) -> None:
    here = writer("here")
    here.produce(topic, mark(1), HERE)
    here.commit_transaction(30)
    here.begin_transaction()
    here.produce(topic, mark(2), HERE)
    here.flush(30)
    here.abort_transaction(30)
    assert cursor.newest(30) == mark(1)


def test_a_record_that_thousands_of_others_have_followed_is_found(
    cursor: KafkaCursor, topic: str, writer: NewWriter
) -> None:
    """The last thousand are read first, then eight times as many."""
    here = writer("here")
    here.produce(topic, mark(1), HERE)
    for number in range(5000):
        here.produce(topic, mark(number), f"pg-tide-other-{number % 50}")
    here.commit_transaction(30)
    assert cursor.newest(30) == mark(1)
