"""The record on the topic: key, value, headers and timestamp, byte for byte."""

import secrets
from collections.abc import Callable
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from fix_kafka import MakeTopic, ReadTopic
from fix_relay import Relay
from relay_kit import Record, Tide, header, records

Deliver = Callable[..., Record]

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture
def outbox(shared_tide: Tide) -> str:
    """An outbox of the test's own, whose messages may be large."""
    return shared_tide.outbox(f"orders-{secrets.token_hex(4)}", max_payload_bytes=3_000_000)


@pytest.fixture
def deliver(
    shared_tide: Tide, shared_relay: Relay, outbox: str, make_topic: MakeTopic, read_topic: ReadTopic
) -> Deliver:
    """Sends one message through a pipeline with these keys: `deliver(payload, {"linger_ms": 1}, key="k")`."""

    def deliver_one(payload: object = None, keys: dict[str, Any] | None = None, **named: object) -> Record:
        topic = make_topic(config={"max.message.bytes": "4000000"})
        shared_tide.pipeline(topic, name=outbox, outbox=outbox, **(keys or {}))
        shared_tide.publish(payload, outbox=outbox, **named)
        (record,) = records(read_topic(topic, 1))
        return record

    return deliver_one


def row_of(tide: Tide, record: Record) -> Any:
    """The message that a record was made of."""
    query = (
        "select *, (extract(epoch from created_at) * 1000000)::bigint as us from tide.message where id = %s"
    )
    (row,) = tide.rows(query, record.message_id)
    return row


def test_headers_are_ours_then_the_messages_own_then_the_pipelines(
    shared_tide: Tide, outbox: str, deliver: Deliver
) -> None:
    """Names, order and bytes of every header; where the message and the pipeline name the same, the message wins."""
    record = deliver(
        {"n": 1},
        {"headers": {"source": "pipeline", "region": "eu-Ω", "empty": ""}},
        dedup_key="order-1",
        op="update",
        headers=Jsonb({"source": "message", "a": "ä"}),
    )
    row = row_of(shared_tide, record)
    assert record.headers == [
        ("pg_tide_outbox", outbox.encode()),
        ("pg_tide_op", b"update"),
        ("pg_tide_id", str(row.id).encode()),
        ("pg_tide_dedup_key", b"order-1"),
        ("pg_tide_ts", str(row.us).encode()),
        ("a", "ä".encode()),
        ("source", b"message"),
        ("empty", b""),
        ("region", "eu-Ω".encode()),
    ]


def test_a_message_without_dedup_key_and_headers_has_four(deliver: Deliver) -> None:
    assert [name for name, _ in deliver().headers] == [
        "pg_tide_outbox",
        "pg_tide_op",
        "pg_tide_id",
        "pg_tide_ts",
    ]


def test_trace_headers_come_from_the_session_that_published(shared_tide: Tide, deliver: Deliver) -> None:
    """Set by the application's tracing, untouched on the topic; what the call itself names wins."""
    for name in ("traceparent", "tracestate", "actor", "tenant"):
        value = TRACEPARENT if name == "traceparent" else f"{name} of session"
        shared_tide.value("select set_config(%s, %s, false)", f"tide.{name}", value)
    try:
        record = deliver({"n": 1}, headers=Jsonb({"tracestate": "of the call"}))
    finally:
        for name in ("traceparent", "tracestate", "actor", "tenant"):
            shared_tide.value("select set_config(%s, '', false)", f"tide.{name}")
    assert dict(record.headers[4:]) == {
        "traceparent": TRACEPARENT.encode(),
        "tracestate": b"of the call",
        "pg_tide_actor": b"actor of session",
        "pg_tide_tenant": b"tenant of session",
    }


def test_the_timestamp_is_when_the_message_was_published(shared_tide: Tide, deliver: Deliver) -> None:
    """Not when it was sent: created_at in milliseconds, cut off, not rounded."""
    record = deliver()
    row = row_of(shared_tide, record)
    assert record.timestamp_ms == row.us // 1000
    assert header("pg_tide_ts", record) == str(row.us).encode()


@pytest.mark.parametrize(
    ("template", "named", "key"),
    [
        (None, {}, None),
        (None, {"dedup_key": "d"}, b"d"),
        (None, {"key": "k"}, b"k"),
        (None, {"key": "k", "dedup_key": "d"}, b"k"),
        (None, {"key": "", "dedup_key": "d"}, b""),
        ("{dedup_key}", {"key": "k", "dedup_key": "order-12345"}, b"order-12345"),
        ("{dedup_key}", {"dedup_key": ""}, b""),
        ("{key}", {"key": "Ω", "dedup_key": "d"}, "Ω".encode()),
        ("fixed", {"key": "k"}, b"fixed"),
        ("{op}/{dedup_key}/{key}", {"op": "delete", "key": "k", "dedup_key": "d"}, b"delete/d/k"),
    ],
)
def test_the_key_is_the_template_else_the_key_else_the_dedup_key_else_null(
    deliver: Deliver, template: str | None, named: dict[str, str], key: bytes | None
) -> None:
    keys = {} if template is None else {"message_key": template}
    assert deliver({"n": 1}, keys, **named).key == key


def test_a_key_template_knows_the_outbox_and_the_messages_id(outbox: str, deliver: Deliver) -> None:
    record = deliver({"n": 1}, {"message_key": "{stream_table}:{outbox_id}"})
    assert record.key == f"{outbox}:{record.message_id}".encode()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"n": 9007199254740993}', b'{"n": 9007199254740993}'),
        ('{"price": 1.10, "tiny": 1e-20}', b'{"tiny": 0.00000000000000000001, "price": 1.10}'),
        ('{"n": 123456789012345678901234567890.5}', b'{"n": 123456789012345678901234567890.5}'),
        (
            '{"s": "Ωμέγα \\u00e9 \\ud83d\\ude00 \\n\\"\\\\ \\u0001"}',
            '{"s": "Ωμέγα é 😀 \\n\\"\\\\ \\u0001"}'.encode(),
        ),
        ('{"b":1,"a":[1, 2],"aa":{}}', b'{"a": [1, 2], "b": 1, "aa": {}}'),
        ('"text"', b'"text"'),
        ("[]", b"[]"),
        ("null", b"null"),
    ],
)
def test_the_value_is_the_payload_as_postgresql_renders_it(
    shared_tide: Tide,
    outbox: str,
    make_topic: MakeTopic,
    shared_relay: Relay,
    read_topic: ReadTopic,
    text: str,
    value: bytes,
) -> None:
    """Numbers beyond 2^53 and trailing zeros, other alphabets, escapes and the order of keys: nothing is parsed."""
    topic = make_topic()
    shared_tide.pipeline(topic, name=outbox, outbox=outbox)
    shared_tide.value("select tide.outbox_publish(%s, %s::jsonb)", outbox, text)
    (record,) = records(read_topic(topic, 1))
    assert record.value == value
    assert record.value == shared_tide.value("select %s::jsonb::text", text).encode()


def test_a_payload_of_a_mebibyte_arrives_whole(deliver: Deliver) -> None:
    text = secrets.token_hex(512 * 1024)
    assert deliver({"x": text}).value == b'{"x": "' + text.encode() + b'"}'


def test_a_delete_without_payload_is_no_tombstone(
    shared_tide: Tide, outbox: str, shared_relay: Relay, topic: str, read_topic: ReadTopic
) -> None:
    """It arrives as JSON's null, like a payload that is null: a consumer tells them apart by the operation."""
    shared_tide.pipeline(topic, name=outbox, outbox=outbox)
    shared_tide.value("select tide.outbox_publish(%s, null, 'd', op => 'delete')", outbox)
    shared_tide.value("select tide.outbox_publish(%s, 'null'::jsonb, 'd', op => 'update')", outbox)
    found = [(header("pg_tide_op", record), record.value) for record in records(read_topic(topic, 2))]
    assert found == [(b"delete", b"null"), (b"update", b"null")]
