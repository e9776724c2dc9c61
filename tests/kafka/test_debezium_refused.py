"""A delete's event or its tombstone is refused: the message is told apart, and no half of it counts as delivered."""

import json
import random

import pytest

from delivery_kit import STOP, Driver, a_config, a_row
from fix_kafka import MakeTopic, ReadTopic
from pg_tide_dev.kafka import KafkaServer
from pg_tide_relay.error_policy import StateName
from relay_kit import alter_topic

# A letter takes a byte, and most of it cannot be compressed away: the broker counts what arrives.
_LETTERS = "".join(random.Random(7).choices("abcdefghijklmnopqrstuvwxyz", k=1_500_000))


def event(letters: int) -> bytes:
    """A row of this size."""
    return json.dumps({"text": _LETTERS[:letters]}).encode()


@pytest.mark.parametrize("acks", ["all", "1"])
@pytest.mark.parametrize("letters", [20_000, 1_500_000])
def test_a_delete_that_is_too_large_stops_the_pipeline_and_is_delivered_whole_once_the_topic_takes_it(
    kafka: KafkaServer, make_topic: MakeTopic, read_topic: ReadTopic, acks: str, letters: int
) -> None:
    """Its tombstone would be small enough, and goes in a produce batch of its own behind an event of more than 1 MB."""
    topic = make_topic(config={"max.message.bytes": "10000"})
    config = a_config(brokers=kafka.bootstrap, topic=topic, wire_format="debezium", acks=acks, dlq=STOP)
    rows = (
        a_row(1, key=b"a"),
        a_row(2, op=b"delete", key=b"b", payload=None, old_payload=event(letters)),
        a_row(3, key=b"c"),
    )
    driver = Driver(config)
    driver.submit(*rows)
    driver.run_until(lambda: driver.delivery.state.name is StateName.STOPPED)
    assert driver.delivery.state.message_id == 2
    assert driver.settled_id == 1
    driver.close()

    alter_topic(kafka.bootstrap, topic, max_message_bytes="2000000")
    driver = Driver(config)
    driver.submit(*rows[1:])
    driver.run_until_settled(3)
    driver.close()
    found = [(record.key(), record.value() is None) for record in read_topic(topic, 4)]
    assert found[-3:] == [(b"b", False), (b"b", True), (b"c", False)]
