"""Delivery in transactions: who reads committed records sees each message once."""

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from relay_kit import FAST, Tide, ids

ONCE = {"delivery": "exactly_once"}


def test_messages_come_once_and_in_order_over_relays_that_follow_each_other(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    topic = make_topic()
    tide.outbox()
    tide.pipeline(topic, **ONCE)
    expected = tide.publish_many(2500, key="one")
    relay = start_relay(tide.dsn, *FAST)
    tide.until_settled()
    assert relay.terminate() == 0
    expected += tide.publish_many(10, key="one")
    relay = start_relay(tide.dsn, *FAST)
    tide.until_settled()
    assert ids(read_topic(topic, 2510)) == expected
