"""What a record looks like on a real topic."""

from collections.abc import Callable

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from delivery_kit import CREATED_US, Driver, a_config, a_row
from pg_tide_dev.kafka import KafkaServer

MakeTopic = Callable[..., str]
ReadTopic = Callable[..., list[Message]]

# Hashes from the tests of Kafka's own Java client.
MURMUR2 = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


def test_a_record_carries_key_value_headers_and_time(
    kafka: KafkaServer, topic: str, read_topic: ReadTopic
) -> None:
    """The brief's record, byte for byte, with created_at as its timestamp."""
    config = a_config(
        brokers=kafka.bootstrap, topic=topic, message_key="{dedup_key}", headers={"source": "shop"}
    )
    driver = Driver(config)
    driver.submit(
        a_row(
            7,
            dedup_key=b"order-12345",
            payload=b'{"total": 99.90, "order_id": 12345}',
            headers=b'{"traceparent": "00-ab-cd-01"}',
        )
    )
    driver.run_until_settled(7)
    driver.close()
    (record,) = read_topic(topic, 1)
    assert record.key() == b"order-12345"
    assert record.value() == b'{"total": 99.90, "order_id": 12345}'
    assert record.headers() == [
        ("pg_tide_outbox", b"orders"),
        ("pg_tide_op", b"insert"),
        ("pg_tide_id", b"7"),
        ("pg_tide_dedup_key", b"order-12345"),
        ("pg_tide_ts", b"%d" % (CREATED_US + 7)),
        ("traceparent", b"00-ab-cd-01"),
        ("source", b"shop"),
    ]
    assert record.timestamp() == (TIMESTAMP_CREATE_TIME, (CREATED_US + 7) // 1000)


def test_a_null_key_an_empty_key_and_a_null_payload_stay_what_they_are(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """No key is null, an empty one is empty; a payload of SQL NULL is no tombstone."""
    topic = make_topic()
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic))
    driver.submit(a_row(1), a_row(2, key=b""), a_row(3, key=b"k", payload=None))
    driver.run_until_settled(3)
    driver.close()
    assert [(record.key(), record.value()) for record in read_topic(topic, 3)] == [
        (None, b"{}"),
        (b"", b"{}"),
        (b"k", b"null"),
    ]


def test_a_key_lands_where_java_producers_put_it(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """Consumers that join topics by partition rely on it."""
    topic = make_topic(partitions=7)
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic))
    driver.submit(*[a_row(number, key=key) for number, key in enumerate(MURMUR2, start=1)])
    driver.run_until_settled(len(MURMUR2))
    driver.close()
    placed = {record.key(): record.partition() for record in read_topic(topic, len(MURMUR2))}
    assert placed == {key: (value & 0x7FFFFFFF) % 7 for key, value in MURMUR2.items()}


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_every_compression_is_read_back(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic, compression: str
) -> None:
    """What the configuration allows, the client can do."""
    topic = make_topic()
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic, compression=compression))
    payload = b'"' + b"abc" * 1000 + b'"'
    driver.submit(*[a_row(number, payload=payload) for number in range(1, 51)])
    driver.run_until_settled(50)
    driver.close()
    assert [record.value() for record in read_topic(topic, 50)] == [payload] * 50


def test_a_message_of_a_megabyte_is_delivered(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic
) -> None:
    """The topic's limit decides, not a smaller one of the client."""
    topic = make_topic(config={"max.message.bytes": "3000000"})
    driver = Driver(a_config(brokers=kafka.bootstrap, topic=topic))
    payload = b'"' + b"x" * 2_000_000 + b'"'
    driver.submit(a_row(1, payload=payload))
    driver.run_until_settled(1)
    driver.close()
    (record,) = read_topic(topic, 1)
    assert record.value() == payload
