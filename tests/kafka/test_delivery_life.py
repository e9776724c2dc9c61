"""Forgetting, leases, draining, ending, and producers that die: what was delivered stays, the rest comes in order."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from confluent_kafka import Message

from delivery_kit import STOP, Driver, a_config, a_row, ids
from pg_tide_dev.kafka import KafkaServer, create_topic
from pg_tide_relay.error_policy import StateName
from pg_tide_relay.errors import ErrorClass
from pg_tide_relay.produce import DebugLog, RecordProducer

MakeTopic = Callable[..., str]
NewKafka = Callable[..., KafkaServer]
ReadTopic = Callable[..., list[Message]]


def test_a_batch_is_settled_message_by_message_and_leaves_when_complete(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """Many batches in flight over several partitions: settled in order, each record there once."""
    topic = make_topic(partitions=3)
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, batch_size=50))
    next_id = 1
    while driver.settled_id < 5000:
        while driver.delivery.can_accept and next_id <= 5000:
            rows = [a_row(number, key=b"%d" % (number % 7)) for number in range(next_id, next_id + 100)]
            driver.submit(*rows, position=next_id)
            next_id += 100
        driver.step()
    assert driver.complete == list(range(1, 5000, 100))
    assert driver.delivery.idle
    driver.close()
    seen = ids(read_topic(topic, 5000))
    assert sorted(seen) == list(range(1, 5001))
    for key in range(7):
        of_key = [number for number in seen if number % 7 == key]
        assert of_key == sorted(of_key)


def test_an_empty_batch_is_settled_in_its_turn(kafka: KafkaServer, topic: str) -> None:
    """It carries the end of a window; it may not be settled before what stands before it."""
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic))
    driver.submit(a_row(1), position="page")
    driver.submit(position="end")
    assert driver.complete == []
    driver.run_until(lambda: len(driver.complete) == 2)
    assert driver.complete == ["page", "end"]
    driver.close()


def test_what_was_handed_over_is_awaited_before_anything_new_is_accepted(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """After a lost database connection the same messages may be read again: a repeat, in order, by one producer."""
    topic = make_topic()
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, linger_ms=300))
    driver.submit(a_row(1, key=b"A"))
    driver.run_until_settled(1)
    driver.submit(a_row(2, key=b"A"), a_row(3, key=b"A"))
    assert driver.delivery.outstanding == 2
    driver.delivery.forget()
    assert not driver.delivery.can_accept
    driver.run_until(lambda: driver.delivery.can_accept)
    assert driver.delivery.outstanding == 0
    assert driver.settled_id == 1
    driver.submit(a_row(2, key=b"A"), a_row(3, key=b"A"))
    driver.run_until_settled(3)
    driver.close()
    assert ids(read_topic(topic)) == [1, 2, 3, 2, 3]


def test_nothing_is_handed_over_after_the_deadline(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """The lease has run out: somebody else may be sending. A later deadline opens it again."""
    topic = make_topic()
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic))
    driver.submit(a_row(1))
    driver.run_until_settled(1)
    driver.delivery.deadline = time.monotonic() - 0.001
    driver.submit(a_row(2))
    for _ in range(20):
        driver.step(0.01)
    assert driver.delivery.outstanding == 0
    assert len(read_topic(topic)) == 1
    driver.delivery.deadline = time.monotonic() + 60
    driver.run_until_settled(2)
    driver.close()


def test_abandoning_takes_back_what_was_not_sent_and_closes_the_connections(
    new_kafka: NewKafka, read_topic: ReadTopic
) -> None:
    """What still lingered never arrives; after `resume` delivery goes on with a new producer."""
    kafka = new_kafka()
    create_topic(kafka.bootstrap, "orders")
    driver = Driver(a_config(brokers=kafka.bootstrap, linger_ms=1000, batch_size=100))
    driver.submit(a_row(1))
    driver.run_until_settled(1)
    driver.submit(a_row(2), a_row(3))
    assert driver.delivery.outstanding == 2
    before = time.monotonic()
    driver.delivery.abandon()
    assert time.monotonic() - before < 3
    assert driver.delivery.outstanding == 0
    driver.delivery.forget()
    driver.step()
    driver.delivery.resume()
    driver.submit(a_row(4))
    driver.run_until_settled(4)
    driver.close()
    assert ids(read_topic("orders", 2, bootstrap=kafka.bootstrap)) == [1, 4]


def test_abandoning_a_frozen_cluster_does_not_wait_for_it(new_kafka: NewKafka) -> None:
    """Requests in flight are not waited for: their connections are closed."""
    kafka = new_kafka()
    create_topic(kafka.bootstrap, "orders")
    driver = Driver(a_config(brokers=kafka.bootstrap))
    driver.submit(a_row(1))
    driver.run_until_settled(1)
    kafka.pause_node(1)
    driver.submit(a_row(2))
    until = time.monotonic() + 1
    driver.run_until(lambda: time.monotonic() > until)
    before = time.monotonic()
    driver.delivery.abandon()
    assert time.monotonic() - before < 3
    assert driver.delivery.outstanding == 0
    kafka.resume_node(1)
    driver.close()


def test_draining_settles_everything_submitted(kafka: KafkaServer, topic: str) -> None:
    """Before an orderly end; afterwards nothing more is accepted."""
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic))
    for number in range(1, 6):
        driver.submit(a_row(number))
    assert driver.delivery.drain(20)
    driver.delivery.close()
    driver.take()
    assert driver.settled_id == 5
    assert driver.delivery.state.name is StateName.ENDED
    assert not driver.delivery.can_accept


def test_a_delivery_that_was_told_to_stop_awaits_what_is_on_its_way(kafka: KafkaServer, topic: str) -> None:
    """SIGTERM: what is handed over is acknowledged and settled, what is not stays for the next owner."""
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, linger_ms=200))
    driver.submit(a_row(1))
    driver.run_until_settled(1)
    driver.submit(a_row(2))
    driver.delivery.stop_handing_over()
    driver.submit(a_row(3))
    assert driver.delivery.drain(20)
    driver.take()
    assert driver.settled_id == 2
    driver.close()


class Mortal(RecordProducer):
    """The first one built is hurt after some polls: what is in flight is purged, which is fatal to it."""

    built = 0

    def __init__(self, properties: Mapping[str, Any], log: DebugLog) -> None:
        super().__init__(properties, log)
        Mortal.built += 1
        self._polls_left = 3 if Mortal.built == 1 else -1

    def poll(self, timeout_s: float) -> None:
        if self.outstanding():
            self._polls_left -= 1
            if self._polls_left == 0:
                self.client.purge()
        super().poll(timeout_s)


def test_a_fatal_producer_is_replaced_and_delivery_resumes_from_the_first_unsettled_message(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """A real fatal error in mid-flight: nothing lost, first occurrences in order."""
    Mortal.built = 0
    topic = make_topic()
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, batch_size=10), producer_factory=Mortal)
    for start in range(1, 301, 50):
        driver.submit(*[a_row(number, key=b"A") for number in range(start, start + 50)])
    driver.run_until_settled(300)
    driver.close()
    assert Mortal.built == 2
    seen = ids(read_topic(topic, 300))
    assert list(dict.fromkeys(seen)) == list(range(1, 301))
    assert "delivery_resumes" in driver.log.events("warning")


def test_a_message_that_cannot_be_shaped_stops_its_pipeline_behind_everything_before_it(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """What stands before it is delivered and settled, what stands behind it is not sent, and its id is told."""
    topic = make_topic()
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, message_key="{dedup_key}", dlq=STOP))
    driver.submit(a_row(1, dedup_key=b"a"), a_row(2, dedup_key=b"b"), a_row(3), a_row(4, dedup_key=b"c"))
    driver.run_until(lambda: driver.delivery.state.name is StateName.STOPPED)
    driver.take()
    state = driver.delivery.state
    assert (state.error_class, state.message_id) == (ErrorClass.MESSAGE, 3)
    assert "dedup_key" in (state.cause or "")
    assert driver.settled_id == 2
    driver.close()
    assert ids(read_topic(topic)) == [1, 2]


@pytest.mark.parametrize("broken", ["ca", "cert"])
def test_a_client_that_refuses_its_configuration_is_an_error_and_tried_again(
    kafka: KafkaServer, topic: str, tmp_path: Any, broken: str
) -> None:
    """A certificate that is not there yet (a volume mounted late): said, and looked for again."""
    missing = str(tmp_path / "missing.pem")
    keys = {"tls_ca_cert": missing}
    if broken == "cert":
        keys = {"tls_client_cert": missing, "tls_client_key": missing}
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, tls_enabled=True, **keys))
    driver.submit(a_row(1))
    driver.run_until(lambda: driver.delivery.state.name is StateName.ERROR)
    assert driver.delivery.state.error_class is ErrorClass.CONFIGURATION
    assert "ssl." in (driver.delivery.state.cause or "")
    driver.close()
