"""The outbox router's records as a consumer of Debezium's finds them on the topic."""

import json
from uuid import UUID

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import StartRelay
from relay_kit import Tide, header, records


def test_an_event_arrives_where_and_as_the_router_would_write_it(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Topic by aggregate type, key, payload, the publisher's id, and columns as headers; ours beside them."""
    tide.outbox()
    prefix, aggregatetype = topic.split("-", 1)
    tide.pipeline(f"{prefix}-{{headers.aggregatetype}}", wire_format="outbox_router")
    event = "da8d6de6-3b77-45ff-8f44-57db55a7a06c"
    columns = json.dumps({"aggregatetype": aggregatetype, "eventType": "OrderPlaced"})
    payload = {"id": 1, "name": "Größe 🌊", "none": None, "lines": []}
    message_id = tide.publish(payload, key="order-1", dedup_key=event, headers=columns)
    start_relay(tide.dsn)
    (record,) = records(read_topic(topic, 1))
    assert record.key == b"order-1"
    assert record.value == tide.value("select payload from tide.message").encode()
    assert header("id", record).decode() == event
    assert header("eventType", record) == b"OrderPlaced"
    assert record.message_id == message_id
    assert record.timestamp_ms == tide.value(
        "select floor(extract(epoch from created_at) * 1000)::bigint from tide.message"
    )


def test_each_converters_bytes_and_tombstones_arrive(
    tide: Tide, make_topic: MakeTopic, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """Of an event and of a delete without payload, with tombstones asked for and without."""
    tide.outbox()
    topics = {
        (converter, wanted): make_topic()
        for converter in ("string", "json", "json_with_schema")
        for wanted in (False, True)
    }
    for (converter, wanted), topic in topics.items():
        options = {"key_converter": converter, "value_converter": converter, "emit_tombstones": wanted}
        tide.pipeline(topic, name=f"{converter}-{wanted}", wire_format="outbox_router", wire_config=options)
    tide.publish({"total": 1}, key="k")
    tide.value("select tide.outbox_publish('orders', null, op => 'delete', key => 'k')")
    start_relay(tide.dsn)
    schema = (
        '{"schema":{"type":"string","optional":true,"name":"io.debezium.data.Json","version":1},"payload":%s}'
    )
    string = r'"{\"total\": 1}"'
    expected = {
        "string": (b"k", b'{"total": 1}', b"null"),
        "json": (b'"k"', string.encode(), b"null"),
        "json_with_schema": (
            b'{"schema":{"type":"string","optional":false},"payload":"k"}',
            (schema % string).encode(),
            (schema % "null").encode(),
        ),
    }
    for (converter, wanted), topic in topics.items():
        key, value, empty = expected[converter]
        assert [(record.key, record.value) for record in records(read_topic(topic, 2))] == [
            (key, value),
            (key, None if wanted else empty),
        ]


def test_an_event_that_was_published_without_an_id_has_the_same_uuid_whenever_it_is_sent(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """So that consumers who parse it and drop what they have seen drop the repeat, and nothing else."""
    tide.outbox()
    tide.pipeline(topic, wire_format="outbox_router")
    tide.publish_many(3, key="k")
    start_relay(tide.dsn)
    tide.until_settled()
    tide.value("select tide.group_rewind('orders-to-kafka', 'orders', to_id => 1)")
    found = [UUID(header("id", record).decode()) for record in records(read_topic(topic, 6))]
    assert found[:3] == found[3:]
    assert len(set(found)) == 3
