"""Filter, projection and routing, from SQL to the topic."""

import json

from delivery_kit import STOP
from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from relay_kit import Tide, header, ids, records

SETTLED = "select prev::text, cur is null, last_id from tide.cursor"


def test_a_filtered_message_is_done_and_never_sent(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The first and the last are filtered as well: the cursor passes them, and a successor does not see them."""
    tide.outbox()
    tide.pipeline(topic, transform={"filter": "n >= `3` && n < `7`"})
    published = tide.publish_many(10, key="one")
    relay = start_relay(tide.dsn)
    tide.until_settled()
    assert ids(read_topic(topic, 4)) == published[3:7]
    assert relay.terminate() == 0
    start_relay(tide.dsn)
    last = tide.publish({"n": 5}, key="one")
    tide.publish({"n": 0}, key="one")
    tide.until_settled()
    assert ids(read_topic(topic, 5)) == [*published[3:7], last]


def test_a_projection_keeps_numbers_as_postgresql_has_them(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Scale, 2^53 + 1 and what no double holds; the key stays the message's."""
    tide.outbox()
    projection = (
        "{total: order.total, big: order.big, exact: order.exact, op: _message.op, key: _message.key}"
    )
    tide.pipeline(topic, transform={"payload": projection})
    start_relay(tide.dsn)
    tide.value(
        """select tide.outbox_publish('orders',
          '{"order": {"total": 1.10, "big": 9007199254740993, "exact": 0.10000000000000000555, "secret": 1}}',
          key => 'order-1')"""
    )
    (record,) = records(read_topic(topic, 1))
    assert record.value == (
        b'{"total":1.10,"big":9007199254740993,"exact":0.10000000000000000555,"op":"insert","key":"order-1"}'
    )
    assert record.key == b"order-1"


def test_a_delete_without_payload_is_judged_by_its_old_payload(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """And sent as it is: a filter changes nothing."""
    tide.outbox()
    tide.pipeline(topic, transform={"filter": "total > `10`"})
    publish = "select tide.outbox_publish('orders', null, op => 'delete', key => 'k', old_payload => %s)"
    tide.value(publish, json.dumps({"total": 5}))
    kept = tide.value(publish, json.dumps({"total": 50}))
    start_relay(tide.dsn)
    tide.until_settled()
    assert ids(read_topic(topic, 1)) == [kept]


def test_an_expression_that_fails_names_message_and_key_and_nothing_passes_it(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """The pipeline stands until the expression is mended; then it goes on, losing nothing."""
    tide.outbox()
    tide.pipeline(topic, transform={"filter": "abs(n) > `0`"}, dlq=STOP)
    published = [tide.publish({"n": n}, key="one") for n in (1, "x", 2)]
    start_relay(tide.dsn)
    row = tide.until_state("error")
    assert (row.error_class, row.message_id) == ("message", published[1])
    assert "transform.filter failed" in row.error
    tide.pipeline(topic, transform={"filter": "n != `null`"})
    tide.until_settled()
    assert ids(read_topic(topic, 3)) == published


def test_an_expression_that_does_not_compile_is_in_the_pipelines_state(
    tide: Tide, topic: str, start_relay: StartRelay
) -> None:
    """SQL can't tell; the relay says which key, and takes the corrected one by itself."""
    tide.outbox()
    tide.pipeline(topic, transform={"payload": "{a: nosuch(b)}"})
    start_relay(tide.dsn)
    row = tide.until_state("error")
    assert row.error_class == "configuration"
    assert "transform.payload" in row.error
    assert "nosuch()" in row.error
    tide.pipeline(topic, transform={"payload": "{a: b}"})
    tide.publish({"b": 1})
    tide.until_settled()
    tide.until_state("running")


def test_rules_send_messages_to_their_topics_and_keep_the_order_of_each(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """A thousand messages over three topics; the last rule's topic is made of a member of the payload."""
    topics = [make_topic() for _ in range(3)]
    rules = [
        {"when": "n < `100`", "topic": topics[1], "headers": {"why": "small"}},
        {"when": "n >= `900`", "topic": "{payload.to}"},
    ]
    tide.outbox()
    tide.pipeline(topics[0], routing={"rules": rules})
    query = (
        "select array_agg(tide.outbox_publish('orders', jsonb_build_object('n', n, 'to', %s::text), key => 'one')"
        " order by n) from generate_series(0, 999) n"
    )
    published = tide.value(query, topics[2])
    start_relay(tide.dsn)
    tide.until_settled()
    assert ids(read_topic(topics[0], 800)) == published[100:900]
    assert ids(read_topic(topics[1], 100)) == published[:100]
    assert ids(read_topic(topics[2], 100)) == published[900:]
    assert {header("why", record) for record in records(read_topic(topics[1]))} == {b"small"}
