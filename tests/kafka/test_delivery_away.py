"""An absent cluster: waited for with the same producer, without an end, without a duplicate."""

import time
from collections.abc import Callable
from typing import Any

from confluent_kafka import Message

from delivery_kit import Driver, a_config, a_row, ids
from pg_tide_dev.kafka import KafkaServer, create_topic
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.produce import RecordProducer

NewKafka = Callable[..., KafkaServer]
ReadTopic = Callable[..., list[Message]]


class CountingFactory:
    """Builds producers and counts them."""

    def __init__(self) -> None:
        self.built = 0

    def __call__(self, properties: Any, log: Any) -> RecordProducer:
        self.built += 1
        return RecordProducer(properties, log)


def is_away(driver: Driver) -> bool:
    state = driver.delivery.state
    return state.name is StateName.BACKING_OFF and state.error_class is ErrorClass.CLUSTER_AWAY


def test_a_frozen_cluster_is_waited_for_and_nothing_is_sent_twice(
    new_kafka: NewKafka, read_topic: ReadTopic
) -> None:
    """No answer for longer than request_timeout_ms: said, waited for, gone on with by itself."""
    kafka = new_kafka()
    create_topic(kafka.bootstrap, "orders")
    factory = CountingFactory()
    driver = Driver(a_config(brokers=kafka.bootstrap, request_timeout_ms=1000), producer_factory=factory)
    driver.submit(*[a_row(number, key=b"A") for number in range(1, 11)])
    driver.run_until_settled(10)
    kafka.pause_node(1)
    try:
        driver.submit(*[a_row(number, key=b"A") for number in range(11, 31)])
        driver.run_until(lambda: is_away(driver))
        waited_from = time.monotonic()
        driver.run_until(lambda: time.monotonic() > waited_from + 3)
        assert is_away(driver)
        assert driver.settled_id == 10
    finally:
        kafka.resume_node(1)
    driver.run_until_settled(30, timeout_s=60)
    assert driver.delivery.state.name is StateName.RUNNING
    driver.close()
    assert factory.built == 1
    seen = ids(read_topic("orders", 30, bootstrap=kafka.bootstrap))
    assert seen == list(range(1, 31))


def test_a_killed_cluster_is_waited_for_and_nothing_is_sent_twice(
    new_kafka: NewKafka, read_topic: ReadTopic
) -> None:
    """Connections refused: the state says so within seconds, with the refusal as its cause."""
    kafka = new_kafka()
    create_topic(kafka.bootstrap, "orders")
    factory = CountingFactory()
    driver = Driver(a_config(brokers=kafka.bootstrap), producer_factory=factory)
    driver.submit(a_row(1, key=b"A"))
    driver.run_until_settled(1)
    kafka.kill()
    driver.submit(*[a_row(number, key=b"A") for number in range(2, 22)])
    driver.run_until(lambda: is_away(driver), timeout_s=20)
    assert "refused" in (driver.delivery.state.cause or "").lower()
    kafka.start()
    driver.run_until_settled(21, timeout_s=60)
    driver.close()
    assert factory.built == 1
    seen = ids(read_topic("orders", 21, bootstrap=kafka.bootstrap))
    assert seen == list(range(1, 22))


def test_a_cluster_that_is_away_at_the_start_is_waited_for(
    new_kafka: NewKafka, read_topic: ReadTopic
) -> None:
    """Not even the topic can be asked for; once the brokers answer, delivery begins by itself."""
    kafka = new_kafka()
    create_topic(kafka.bootstrap, "orders")
    kafka.kill()
    driver = Driver(a_config(brokers=kafka.bootstrap))
    driver.submit(a_row(1))
    driver.run_until(lambda: is_away(driver), timeout_s=20)
    kafka.start()
    driver.run_until_settled(1, timeout_s=60)
    assert driver.delivery.state.name is StateName.RUNNING
    driver.close()
    assert len(read_topic("orders", 1, bootstrap=kafka.bootstrap)) == 1


def test_polling_never_blocks_longer_than_asked_while_the_cluster_is_away(new_kafka: NewKafka) -> None:
    """One thread drives all pipelines: an absent cluster of one must not hold up the others."""
    kafka = new_kafka()
    kafka.pause_node(1)
    driver = Driver(a_config(brokers=kafka.bootstrap, request_timeout_ms=500))
    slowest = 0.0
    driver.submit(a_row(1))
    until = time.monotonic() + 4
    while time.monotonic() < until:
        before = time.monotonic()
        driver.step(0.02)
        slowest = max(slowest, time.monotonic() - before)
    kafka.resume_node(1)
    driver.close()
    assert slowest < 0.3


def test_messages_that_wait_for_an_absent_cluster_are_bounded(new_kafka: NewKafka) -> None:
    """The window takes eight batches; then nothing more is accepted until some are settled."""
    kafka = new_kafka()
    create_topic(kafka.bootstrap, "orders")
    kafka.pause_node(1)
    driver = Driver(a_config(brokers=kafka.bootstrap))
    number = 0
    while driver.delivery.can_accept:
        number += 1
        driver.submit(a_row(number))
        driver.step(0)
    assert len(driver.delivery._window) == number == 8
    kafka.resume_node(1)
    driver.run_until_settled(8, timeout_s=60)
    assert driver.delivery.can_accept
    driver.close()
