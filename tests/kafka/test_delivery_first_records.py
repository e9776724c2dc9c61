"""The first records of a producer on a partition, while the partition's leader is not ready.

Sequence numbers do not guard them: a broker that knows nothing of a producer accepts any as the first.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import Message, Producer, murmur2

from delivery_kit import Driver, a_config, a_row, ids
from fix_run import Progress
from kafka_proxy import Proxy, proxy_on
from pg_tide_dev.kafka import create_topic, find_programs, wait_ready
from pg_tide_dev.kafka_nodes import KafkaNode, kafka_id, new_addresses
from pg_tide_dev.processes import Run, free_port
from pg_tide_dev.sources import Source

ReadTopic = Callable[..., list[Message]]


@dataclass(frozen=True, kw_only=True)
class Proxied:
    """A broker that tells its clients to come by way of a proxy, and a topic on it."""

    bootstrap: str
    proxy: Proxy
    topic: str


@pytest.fixture(scope="module")
def node(dev_run: Run, progress: Progress) -> Iterator[tuple[KafkaNode, Proxy]]:
    programs = find_programs(Source.PACKAGES, progress)
    assert programs is not None
    (address,) = new_addresses(1)
    with proxy_on(free_port(), address.client_port) as proxy:
        node = KafkaNode(dev_run, programs, address)
        node.configure([address], {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{proxy.port}"})
        node.format(kafka_id(), [])
        node.start()
        wait_ready(node.bootstrap, [1], [node.process] if node.process else [])
        yield node, proxy
        node.kill()


@pytest.fixture
def proxied(node: tuple[KafkaNode, Proxy]) -> Proxied:
    kafka, proxy = node
    topic = f"test-{secrets.token_hex(6)}"
    create_topic(kafka.bootstrap, topic, partitions=6)
    proxy.refuse()
    return Proxied(bootstrap=kafka.bootstrap, proxy=proxy, topic=topic)


def test_a_refused_first_request_is_not_overtaken_by_the_second(
    proxied: Proxied, read_topic: ReadTopic
) -> None:
    """Many requests of one key are ready at once and the first is refused: the topic has them in order all the same."""
    driver = Driver(a_config(brokers=proxied.bootstrap, topic=proxied.topic, batch_size=1, linger_ms=0))
    proxied.proxy.refuse(1)
    driver.submit(*[a_row(number, key=b"A") for number in range(1, 21)])
    driver.run_until_settled(20)
    driver.close()
    assert proxied.proxy.refused == 1
    assert ids(read_topic(proxied.topic, 20, bootstrap=proxied.bootstrap)) == list(range(1, 21))


@pytest.mark.parametrize("number", [2, 3, 5])
def test_a_later_request_that_is_refused_is_not_overtaken_either(
    proxied: Proxied, read_topic: ReadTopic, number: int
) -> None:
    """Once the broker knows the producer, it refuses the gap: librdkafka sends them again in order."""
    driver = Driver(a_config(brokers=proxied.bootstrap, topic=proxied.topic, batch_size=1, linger_ms=0))
    proxied.proxy.refuse(number)
    driver.submit(*[a_row(number, key=b"A") for number in range(1, 21)])
    driver.run_until_settled(20)
    driver.close()
    seen = ids(read_topic(proxied.topic, 20, bootstrap=proxied.bootstrap))
    assert list(dict.fromkeys(seen)) == list(range(1, 21))


def test_an_idempotent_producer_alone_lets_the_second_request_overtake_the_first(
    proxied: Proxied, read_topic: ReadTopic
) -> None:
    """The hazard itself: gapless, idempotent, and yet the topic begins with the second record."""
    producer = Producer(
        {
            "bootstrap.servers": proxied.bootstrap,
            "enable.idempotence": True,
            "enable.gapless.guarantee": True,
            "batch.num.messages": 1,
            "linger.ms": 0,
            "log_level": 0,
        }
    )
    proxied.proxy.refuse(1)
    for number in range(1, 6):
        producer.produce(proxied.topic, b"%d" % number, b"A")
    records = read_topic(proxied.topic, 1, bootstrap=proxied.bootstrap)
    producer.purge()
    producer.close()
    assert records[0].value() == b"2"


def test_keys_of_other_partitions_do_not_wait_for_the_first_record_of_one(
    proxied: Proxied, read_topic: ReadTopic
) -> None:
    """One record for each partition is on its way at once; null keys have no order and never wait."""
    keys = {murmur2(b"K%d" % number, 6): b"K%d" % number for number in range(100)}
    driver = Driver(a_config(brokers=proxied.bootstrap, topic=proxied.topic, linger_ms=200))
    driver.submit(a_row(1))
    driver.run_until_settled(1)
    driver.submit(*[a_row(2 + place, key=key) for place, key in enumerate(keys.values())])
    assert driver.delivery.outstanding == 6
    driver.submit(a_row(8), a_row(9), a_row(10, key=keys[3]))
    assert driver.delivery.outstanding == 8
    driver.run_until_settled(10)
    driver.close()
    assert sorted(ids(read_topic(proxied.topic, 10, bootstrap=proxied.bootstrap))) == list(range(1, 11))
