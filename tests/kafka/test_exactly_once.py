"""Delivery in transactions: who reads committed records sees each message once, in order."""

import json
from typing import Any

import pytest

from fix_kafka import MakeTopic, NewKafka, ReadTopic, read_records
from fix_relay import StartRelay
from pg_tide_dev.kafka import create_topic
from relay_kit import FAST, Tide, ids
from waiting import eventually, for_all_of

ONCE: dict[str, Any] = {"delivery": "exactly_once"}
SMALL = {"max.message.bytes": "5000"}
LARGE = {"x": "x" * 20_000}


def states(tide: Tide) -> dict[int, str]:
    return {row.message_id: row.state for row in tide.rows("select message_id, state from tide.dead_letters")}


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


@pytest.mark.parametrize("refused_by", ["broker", "relay"])
def test_a_message_that_cannot_be_delivered_is_kept_and_its_neighbours_come_once(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic, refused_by: str
) -> None:
    """The whole transaction is taken back with it; then it goes alone."""
    topic = make_topic(config=SMALL)
    tide.outbox()
    tide.pipeline(topic, message_key="{key}", **ONCE)
    before = tide.publish_many(250, key="one")
    bad = tide.publish(LARGE, key="one") if refused_by == "broker" else tide.publish({"x": 1})
    after = tide.publish_many(250, key="one")
    start_relay(tide.dsn, *FAST)
    tide.until_settled()
    assert ids(read_topic(topic, 500)) == before + after
    assert states(tide) == {bad: "dead"}


def test_a_crash_between_a_dead_letter_and_its_transaction_leaves_the_message_to_the_dead_letter(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The topic takes it by then: it is not sent all the same, because somebody may be deciding about it."""
    topic = make_topic()
    tide.outbox()
    tide.pipeline(topic, message_key="{key}", **ONCE)
    before = tide.publish_many(50, key="one")
    bad = tide.publish({"x": 1})
    after = tide.publish_many(50, key="one")
    doomed = start_relay(tide.dsn, *FAST, env={"PG_TIDE_FAILPOINTS": "after_keep=kill"})
    assert doomed.wait() == -9
    assert states(tide) == {bad: "dead"}
    tide.pipeline(topic, message_key="{outbox_id}", **ONCE)
    start_relay(tide.dsn, *FAST)
    tide.until_settled()
    assert ids(read_topic(topic, 100)) == before + after
    assert states(tide) == {bad: "dead"}


@pytest.mark.parametrize(
    "failpoint", ["", "before_commit=kill@2", "after_commit=kill@2", "before_redrive_settle=kill"]
)
def test_a_redrive_sends_each_dead_letter_once_whatever_dies(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic, failpoint: str
) -> None:
    """Killed behind its second transaction, the relay does not know what it has sent; Kafka does."""
    topic = make_topic()
    tide.outbox()
    tide.pipeline(topic, message_key="{payload.k}", batch_size=10, dlq={"on_error": "park_key"}, **ONCE)
    bad = [tide.publish({"n": n}, key=f"k{n % 5}") for n in range(60)]
    relay = start_relay(tide.dsn, *FAST)
    tide.until_settled()
    assert relay.terminate() == 0
    tide.pipeline(topic, message_key="{key}", batch_size=10, dlq={"on_error": "park_key"}, **ONCE)
    tide.rows("select tide.dlq_redrive('orders-to-kafka', everything => true)")
    if failpoint:
        assert start_relay(tide.dsn, *FAST, env={"PG_TIDE_FAILPOINTS": failpoint}).wait() == -9
    start_relay(tide.dsn, *FAST)
    eventually(lambda: set(states(tide).values()) == {"redriven"}, why=lambda: str(states(tide)))
    assert sorted(ids(read_topic(topic, 60))) == bad


def test_a_letter_that_died_again_after_its_redrive_is_sent_again(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """What Kafka remembers of the first redrive is not taken for the second."""
    topic = make_topic()
    tide.outbox()
    bad = tide.publish({"x": 1})
    for _ in range(2):
        tide.pipeline(topic, message_key="{key}", **ONCE)
        relay = start_relay(tide.dsn, *FAST)
        eventually(lambda: states(tide) == {bad: "dead"})
        tide.pipeline(topic, message_key="{outbox_id}", **ONCE)
        tide.rows("select tide.dlq_redrive('orders-to-kafka', everything => true)")
        eventually(lambda: states(tide) == {bad: "redriven"})
        assert relay.terminate() == 0
        tide.value("select tide.group_rewind('orders-to-kafka', 'orders', to_id => 1)")
    assert ids(read_topic(topic, 2)) == [bad, bad]


def test_a_rewind_sends_again_once(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The pass has a name in Kafka, too: killed in its midst, its rest comes once."""
    topic = make_topic()
    tide.outbox()
    tide.pipeline(topic, batch_size=50, transactions={"commit_interval_ms": 1}, **ONCE)
    published = tide.publish_many(1000, key="one")
    relay = start_relay(tide.dsn, *FAST)
    tide.until_settled()
    assert relay.terminate() == 0
    tide.value("select tide.group_rewind('orders-to-kafka', 'orders', to_id => %s)", published[100])
    assert start_relay(tide.dsn, *FAST, env={"PG_TIDE_FAILPOINTS": "after_commit=kill@2"}).wait() == -9
    start_relay(tide.dsn, *FAST)
    tide.until_settled()
    assert ids(read_topic(topic, 1900)) == published + published[100:]


def test_messages_that_are_filtered_cost_no_transaction(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    topic, cursors = make_topic(), make_topic(config={"cleanup.policy": "compact"})
    tide.outbox()
    keys = {**ONCE, "transactions": {"cursor_topic": cursors}, "transform": {"filter": "n == `1`"}}
    tide.pipeline(topic, **keys)
    start_relay(tide.dsn, *FAST)
    for _ in range(3):
        tide.publish({"n": 2})
        tide.until_settled()
    wanted = tide.publish({"n": 1})
    tide.until_settled()
    assert ids(read_topic(topic, 1)) == [wanted]
    (position,) = read_topic(cursors, 1)
    assert json.loads(position.value() or b"")["last_id"] == wanted


def test_delivery_may_change_there_and_back(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """What was delivered at least once meanwhile does not come again."""
    topic = make_topic()
    tide.outbox()
    tide.pipeline(topic, **ONCE)
    start_relay(tide.dsn, *FAST)
    expected: list[int] = []
    for kind in ("exactly_once", "at_least_once", "exactly_once"):
        tide.pipeline(topic, delivery=kind)
        expected += tide.publish_many(100, key="one")
        tide.until_settled()
    assert ids(read_topic(topic, 300)) == expected


def test_a_cursor_topic_that_forgets_is_refused(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay
) -> None:
    """Nothing is sent before its position would be kept."""
    topic, forgetful = make_topic(), make_topic(config={"cleanup.policy": "delete"})
    tide.outbox()
    tide.publish()
    tide.pipeline(topic, **ONCE, transactions={"cursor_topic": forgetful})
    start_relay(tide.dsn, *FAST)
    row = tide.until_state("error")
    assert forgetful in row.error
    assert "cleanup.policy" in row.error
    for_all_of(1.0, lambda: tide.pending() == 1)


def test_a_cluster_away_for_longer_than_a_transaction_may_last_repeats_nothing(
    tide: Tide, new_kafka: NewKafka, start_relay: StartRelay
) -> None:
    """The cluster takes back what had begun, a new producer fences the old one, and everything comes once."""
    broker = new_kafka()
    create_topic(broker.bootstrap, "away", partitions=2)
    tide.outbox()
    keys = {"brokers": broker.bootstrap, "request_timeout_ms": 500, "transactions": {"timeout_ms": 1000}}
    tide.pipeline("away", **ONCE, **keys)
    relay = start_relay(tide.dsn, *FAST)
    expected = tide.publish_many(100, key="one")
    tide.until_settled()
    (node,) = broker.node_ids
    for _ in range(2):
        expected += tide.publish_many(2000, key="one")
        broker.pause_node(node)
        expected += tide.publish_many(100, key="one")
        tide.until_state("backing_off")
        for_all_of(6.0, lambda: relay.exit_code is None)  # beyond every patience
        broker.resume_node(node)
        tide.until_settled(within=60.0)
    assert ids(read_records(broker.bootstrap, "away", count=None, timeout_seconds=30.0)) == expected
