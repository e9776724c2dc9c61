"""CloudEvents, held to their golden file; and what a pipeline's configuration makes of them."""

import json
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_kit import CREATED_US, ORIGIN, a_config, a_row
from pg_tide_relay.encode import Record, compile_shape
from pg_tide_wire_formats.cloudevents import compile_binary, compile_structured
from pg_tide_wire_formats.times import rfc3339

GOLDEN: dict[str, Any] = json.loads(
    files("pg_tide_wire_formats").joinpath("golden/cloudevents.json").read_text(encoding="utf-8")
)
TYPES = {op.encode(): name for op, name in GOLDEN["pipeline"]["types"].items()}
MODES = {"binary": compile_binary, "structured": compile_structured}


def encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_an_event_has_the_golden_value_and_headers(case: dict[str, Any], mode: str) -> None:
    """Byte for byte, in the order of the file."""
    message, expected = case["message"], case[mode]
    encode = MODES[mode](GOLDEN["pipeline"]["source"], TYPES)
    value, headers = encode(
        message["id"],
        message["op"].encode(),
        encoded(message["key"]),
        message["created_us"],
        encoded(message["payload"]),
    )
    assert value == encoded(expected["value"])
    assert headers == [(name, text.encode()) for name, text in expected["headers"]]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.integers(1, 2**63 - 1))
def test_a_structured_event_is_json_whatever_stands_in_key_and_source(text: str, message_id: int) -> None:
    encode = compile_structured(f"/{text}", dict.fromkeys(TYPES, text or "t"))
    value, _ = encode(message_id, b"insert", text.encode(), 1, b'{"a": 1.10}')
    assert value is not None
    event = json.loads(value)
    assert (event["source"], event["id"], event["data"]) == (f"/{text}", str(message_id), {"a": 1.1})
    assert event.get("subject", "") == text


@given(st.integers(-(2**40), 2**52))
def test_the_time_is_the_messages_with_its_microseconds(created_us: int) -> None:
    """Whatever was formatted before it."""
    text = rfc3339(created_us).decode()
    assert round(datetime.fromisoformat(text).timestamp() * 1_000_000) == created_us
    assert text.endswith("Z")


def a_record(**keys: Any) -> Record:
    row = a_row(
        7,
        op=b"update",
        key=b"k",
        payload=b'{"n": 1.10}',
        headers=b'{"ce_type": "x", "Content-Type": "y", "a": "1"}',
    )
    record = compile_shape(a_config(**keys), ORIGIN)(row)
    assert record is not None
    return record


def test_a_pipelines_events_are_binary_and_named_after_its_outbox() -> None:
    """Behind the headers of every record; what would be read as part of the event is only ours to say."""
    record = a_record(wire_format="cloudevents", headers={"ce_source": "/forged", "env": "test"})
    time = rfc3339(CREATED_US + 7)
    assert record.value == b'{"n": 1.10}'
    assert record.headers[:4] == [
        ("pg_tide_outbox", b"orders"),
        ("pg_tide_op", b"update"),
        ("pg_tide_id", b"7"),
        ("pg_tide_ts", b"%d" % (CREATED_US + 7)),
    ]
    assert record.headers[4:] == [
        ("a", b"1"),
        ("env", b"test"),
        ("ce_specversion", b"1.0"),
        ("ce_source", b"/orders"),
        ("ce_type", b"orders.update"),
        ("ce_id", b"7"),
        ("ce_time", time),
        ("ce_subject", b"k"),
        ("content-type", b"application/json"),
    ]


def test_mode_source_and_type_are_the_configurations() -> None:
    """And the value is the projection's, the subject the record's key."""
    record = a_record(
        wire_format="cloudevents",
        wire_config={
            "mode": "structured",
            "source": "https://shop.example/{stream_table}",
            "type": "shop.{op}",
        },
        message_key="{payload.n}",
        transform={"payload": "{m: n}"},
    )
    assert record.value is not None
    event = json.loads(record.value)
    assert (event["source"], event["type"], event["subject"]) == (
        "https://shop.example/orders",
        "shop.update",
        "1.10",
    )
    assert b'"data":{"m":1.10}}' in record.value
    assert datetime.fromisoformat(event["time"]).tzinfo == UTC


def test_a_delete_without_payload_is_a_tombstone_where_it_is_asked_for() -> None:
    """In the native format; an update without payload can't be published, and a JSON null is no tombstone."""
    row = a_row(op=b"delete", payload=None)
    for wanted, value in ((False, b"null"), (True, None)):
        shape = compile_shape(a_config(wire_config={"emit_tombstones": wanted}), ORIGIN)
        record = shape(row)
        assert record is not None
        assert record.value is value or record.value == value
        other = shape(a_row(op=b"delete", payload=b"null"))
        assert other is not None
        assert other.value == b"null"
