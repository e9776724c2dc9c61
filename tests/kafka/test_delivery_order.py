"""The order of a key survives a refused produce batch: on a real broker, with a small max.message.bytes."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pytest
from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from delivery_kit import STOP, Driver, a_config, a_row, ids
from pg_tide_dev.kafka import KafkaServer
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.message import Row
from pg_tide_relay.produce import DebugLog, RecordProducer

SMALL = {"max.message.bytes": "2000"}
BAD = b'"' + b"B" * 3000 + b'"'

MakeTopic = Callable[..., str]
ReadTopic = Callable[..., list[Message]]


def rows_with_a_bad_one(bad_id: int, count: int) -> list[Row]:
    """Messages of one key, `A0`, `A1`, ..., and one that is too large for the topic."""
    return [
        a_row(number + 1, key=b"A", payload=BAD if number + 1 == bad_id else b'"A%d"' % number)
        for number in range(count)
    ]


def first_occurrences(seen: Sequence[int]) -> list[int]:
    return list(dict.fromkeys(seen))


def set_topic(kafka: KafkaServer, topic: str, name: str, value: str) -> None:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap, "log_level": 0})
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(timeout=30)


def test_neighbours_of_a_bad_message_are_delivered_in_order_and_nothing_behind_it(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """A1 shares its produce batch with BAD and A2, A3, ... are already handed over: the log is A0 A1, in order."""
    topic = make_topic(config=SMALL)
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, batch_size=2, dlq=STOP))
    driver.submit(*rows_with_a_bad_one(bad_id=3, count=10))
    driver.run_until(lambda: driver.delivery.state.name is StateName.STOPPED)
    driver.take()
    state = driver.delivery.state
    assert (state.error_class, state.code, state.message_id) == (ErrorClass.MESSAGE, "MSG_SIZE_TOO_LARGE", 3)
    assert driver.settled_id == 2
    assert ids(read_topic(topic)) == [1, 2]
    driver.close()

    # Once the topic takes it, the rest follows in order: nothing of the key had overtaken.
    set_topic(kafka, topic, "max.message.bytes", "10000")
    again = Driver(a_config(brokers=kafka.bootstrap, topic=topic, batch_size=2, dlq=STOP))
    again.submit(*rows_with_a_bad_one(bad_id=3, count=10)[2:])
    again.run_until_settled(10)
    again.close()
    assert ids(read_topic(topic, 10)) == list(range(1, 11))


@pytest.mark.parametrize("bad_id", [1, 2, 7, 13, 24])
def test_everything_before_a_bad_message_is_settled_wherever_it_stands(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic, bad_id: int
) -> None:
    """Also over three batches in flight and several partitions; nothing behind it is on its key's partition."""
    topic = make_topic(config=SMALL)
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, batch_size=5, dlq=STOP))
    rows = rows_with_a_bad_one(bad_id, 24)
    for start in range(0, 24, 8):
        driver.submit(*rows[start : start + 8], position=start)
    driver.run_until(lambda: driver.delivery.state.name is StateName.STOPPED)
    driver.take()
    driver.close()
    assert driver.delivery.state.message_id == bad_id
    assert driver.settled_id == bad_id - 1
    assert first_occurrences(ids(read_topic(topic))) == list(range(1, bad_id))


def test_a_batch_that_is_too_large_only_as_a_whole_is_delivered_in_order(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """Every message is small, their batch is not: each suspect passes alone, none is lost, none overtakes."""
    topic = make_topic(config=SMALL)
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, batch_size=50))
    rows = [a_row(number, key=b"A", payload=b'"%s"' % (b"x" * 300)) for number in range(1, 121)]
    for start in range(0, 120, 40):
        driver.submit(*rows[start : start + 40])
    driver.run_until_settled(120, timeout_s=60)
    driver.close()
    assert first_occurrences(ids(read_topic(topic, 120))) == list(range(1, 121))


def test_other_partitions_are_not_sent_again_because_one_batch_was_refused(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """Outcomes are per message: what was acknowledged stays so over the change of producers."""
    topic = make_topic(partitions=6, config=SMALL)
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, batch_size=4, dlq=STOP))
    rows = [
        a_row(number, key=b"K%d" % (number % 12), payload=BAD if number == 60 else b'"%d"' % number)
        for number in range(1, 61)
    ]
    driver.submit(*rows)
    driver.run_until(lambda: driver.delivery.state.name is StateName.STOPPED)
    driver.take()
    driver.close()
    assert driver.settled_id == 59
    seen = ids(read_topic(topic))
    assert sorted(set(seen)) == list(range(1, 60))
    for key in range(12):
        of_key = [number for number in seen if number % 12 == key]
        assert first_occurrences(of_key) == sorted(set(of_key))


def test_without_the_gapless_guarantee_a_refused_batch_is_overtaken(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """The hazard itself, so that the rule is not kept for nothing: resent alone, A1 lands behind A4."""
    topic = make_topic(config=SMALL)
    properties: dict[str, Any] = {
        "bootstrap.servers": kafka.bootstrap,
        "enable.idempotence": True,
        "batch.num.messages": 2,
        "log_level": 0,
    }
    refused: list[bytes] = []

    def on_report(value: bytes, error: KafkaError | None, _: Message) -> None:
        if error is not None:
            refused.append(value)

    producer = Producer(properties)
    producer.produce(topic, b"A0", b"A")
    producer.flush()
    for value in (b"A1", BAD, b"A2", b"A3", b"A4"):
        producer.produce(topic, value, b"A", on_delivery=partial(on_report, value))
    producer.flush()
    assert refused == [b"A1", BAD]
    producer.produce(topic, b"A1", b"A")
    producer.flush()
    assert [record.value() for record in read_topic(topic)] == [b"A0", b"A2", b"A3", b"A4", b"A1"]


def test_without_a_guard_the_last_record_of_a_key_is_still_its_newest(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """acks=1: a refused batch may be overtaken; what had overtaken it is sent again behind it."""
    topic = make_topic(config=SMALL)
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, acks="1", batch_size=10, linger_ms=50))
    # One produce batch that is too large as a whole, and one behind it that is not.
    rows = [a_row(number, key=b"A", payload=b'"%s"' % (b"x" * 250)) for number in range(1, 11)]
    rows += [a_row(number, key=b"A", payload=b"1") for number in range(11, 13)]
    driver.submit(*rows)
    driver.run_until_settled(12)
    driver.close()
    seen = ids(read_topic(topic, 12))
    assert set(seen) == set(range(1, 13))
    assert seen[-1] == 12


@pytest.mark.parametrize("acks", ["0", "1"])
def test_without_acks_all_one_batch_is_on_its_way_at_a_time(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic, acks: str
) -> None:
    """The second batch is handed over when the first is acknowledged, not before."""
    topic = make_topic()
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, acks=acks, linger_ms=200))
    rows = [a_row(number, key=b"A") for number in range(1, 31)]
    most = 0
    for start in range(0, 30, 10):
        driver.submit(*rows[start : start + 10])
    while driver.settled_id < 30:
        driver.step(0.01)
        most = max(most, driver.delivery.outstanding)
    driver.close()
    assert 0 < most <= 10
    assert ids(read_topic(topic, 30)) == list(range(1, 31))


class NaiveProducer(RecordProducer):
    """Goes on after a refused batch, as producers do by default."""

    def __init__(self, properties: Mapping[str, Any], log: DebugLog) -> None:
        super().__init__({**properties, "enable.gapless.guarantee": False}, log)

    def purge_queue(self) -> None:
        """Take nothing back."""


def test_with_a_naive_producer_the_rest_overtakes(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """The same delivery with the rule taken out of its producer: messages behind BAD are on the topic."""
    topic = make_topic(config=SMALL)
    config = a_config(brokers=kafka.bootstrap, topic=topic, batch_size=2, dlq=STOP)
    driver = Driver(config, producer_factory=NaiveProducer)
    driver.submit(*rows_with_a_bad_one(bad_id=3, count=10))
    driver.run_until(lambda: driver.delivery.state.name is StateName.STOPPED)
    driver.close()
    assert max(ids(read_topic(topic))) > 3
