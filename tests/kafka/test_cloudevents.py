"""CloudEvents as the CNCF's own SDK reads them from the topic."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, from_structured
from cloudevents.core.formats.json import JSONFormat

from fix_kafka import ReadTopic
from fix_relay import StartRelay
from relay_kit import Record, Tide, records


def read(mode: str, record: Record) -> Any:
    """The event in a record, read by the SDK."""
    message = KafkaMessage(
        headers={name: value for name, value in record.headers if value is not None},
        key=record.key,
        value=record.value or b"",
    )
    return (from_structured if mode == "structured" else from_binary)(message, JSONFormat())


@pytest.mark.parametrize("mode", ["binary", "structured"])
def test_an_event_says_what_the_message_says(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic, mode: str
) -> None:
    """Each attribute and the data, field by field."""
    tide.outbox()
    options = {
        "mode": mode,
        "source": "https://shop.example/{stream_table}",
        "type": "shop.{stream_table}.{op}",
    }
    tide.pipeline(topic, wire_format="cloudevents", wire_config=options)
    payload = {"id": 12345, "name": "Größe 🌊", "lines": [{"sku": "A-1"}], "none": None}
    message_id = tide.publish(payload, op="update", key="order-12345")
    start_relay(tide.dsn)
    (record,) = records(read_topic(topic, 1))
    event = read(mode, record)
    assert event.get_data() == payload
    assert event.get_id() == str(message_id)
    assert event.get_source() == "https://shop.example/orders"
    assert event.get_type() == "shop.orders.update"
    assert event.get_subject() == "order-12345"
    assert event.get_datacontenttype() == "application/json"
    created: datetime = tide.value("select created_at from tide.message where id = %s", message_id)
    assert event.get_time() == created.astimezone(UTC)
    assert abs(event.get_time() - datetime.now(UTC)) < timedelta(minutes=5)


def test_a_delete_is_a_tombstone_in_binary_mode_and_an_event_without_data_in_structured_mode(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    """What the binding says of an event without data."""
    tide.outbox()
    for mode in ("binary", "structured"):
        tide.pipeline(topic, name=mode, wire_format="cloudevents", wire_config={"mode": mode})
    tide.value("select tide.outbox_publish('orders', null, op => 'delete', key => 'k')")
    start_relay(tide.dsn)
    found = {record.value is None: record for record in records(read_topic(topic, 2))}
    assert dict(found[True].headers)["ce_type"] == b"orders.delete"
    event = read("structured", found[False])
    assert (event.get_type(), event.get_subject(), event.get_data()) == ("orders.delete", "k", None)


def test_a_tombstone_of_the_native_format_has_no_value(
    tide: Tide, topic: str, start_relay: StartRelay, read_topic: ReadTopic
) -> None:
    tide.outbox()
    tide.pipeline(topic, wire_config={"emit_tombstones": True})
    tide.publish({"a": 1}, key="k")
    tide.value("select tide.outbox_publish('orders', null, op => 'delete', key => 'k')")
    start_relay(tide.dsn)
    assert [(record.key, record.value) for record in records(read_topic(topic, 2))] == [
        (b"k", b'{"a": 1}'),
        (b"k", None),
    ]
