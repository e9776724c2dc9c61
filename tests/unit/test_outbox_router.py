"""The outbox router's records, held to what Debezium's router and Kafka Connect's converters write."""

import json
from importlib.resources import files
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_kit import CREATED_US, ORIGIN, a_config, a_row
from pg_tide_relay.encode import Record, compile_shape
from pg_tide_wire_formats.outbox_router import Converter, compile_event_id, compile_outbox_router

GOLDEN: dict[str, Any] = json.loads(
    files("pg_tide_wire_formats").joinpath("golden/outbox_router.json").read_text(encoding="utf-8")
)
CONVERTERS: tuple[Converter, ...] = ("string", "json", "json_with_schema")
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def event_id(database: str, outbox: str, message_id: int, created_us: int) -> bytes:
    return compile_event_id(database, outbox)(message_id, created_us)


def encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


@pytest.mark.parametrize("converter", CONVERTERS)
@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_key_and_value_are_the_golden_ones(case: dict[str, Any], converter: Converter) -> None:
    """Byte for byte, with tombstones and without."""
    expected = case[converter]
    for emit_tombstones, value in ((False, expected["value"]), (True, expected.get("tombstone", None))):
        encode = compile_outbox_router(converter, converter, emit_tombstones=emit_tombstones)
        wanted = expected["value"] if case["payload"] is not None else value
        assert encode(encoded(case["key"]), encoded(case["payload"])) == (
            encoded(expected["key"]),
            encoded(wanted),
        )


@pytest.mark.parametrize("case", GOLDEN["ids"], ids=lambda case: case["id"])
def test_an_events_own_id_is_the_golden_one(case: dict[str, Any]) -> None:
    """It must not change: a message that is sent again by a newer relay has the same."""
    assert event_id(*list(case.values())[:4]).decode() == case["id"]


@given(TEXT, TEXT, st.integers(1, 2**63 - 1), st.integers())
def test_an_events_own_id_is_a_uuid_of_version_5(
    database: str, outbox: str, message_id: int, created_us: int
) -> None:
    """So that anybody can make it from what the message's headers say."""
    name = f"pg-tide:{database}/{outbox}/{message_id}/{created_us}"
    assert event_id(database, outbox, message_id, created_us).decode() == str(uuid5(NAMESPACE_URL, name))
    assert UUID(event_id(database, outbox, message_id, created_us).decode()).version == 5


@given(TEXT, TEXT)
def test_a_converted_text_says_what_the_text_says(key: str, payload: str) -> None:
    """Whatever stands in it; a converter of keys and one of values can differ."""
    encode = compile_outbox_router("json", "json_with_schema", emit_tombstones=False)
    converted, value = encode(key.encode(), payload.encode())
    assert converted is not None
    assert value is not None
    assert json.loads(converted) == key
    assert json.loads(value)["payload"] == payload


@pytest.mark.parametrize("converter", CONVERTERS)
def test_a_record_without_key_stays_without(converter: Converter) -> None:
    assert compile_outbox_router(converter, converter, emit_tombstones=False)(None, b"{}")[0] is None


def a_record(*, of: dict[str, Any] | None = None, **keys: Any) -> Record:
    row = a_row(7, **{"key": b"order-1", "payload": b'{"n": 1.10}', **(of or {})})
    record = compile_shape(a_config(wire_format="outbox_router", **keys), ORIGIN)(row)
    assert record is not None
    return record


def ids(record: Record) -> list[str | bytes | None]:
    """All headers with that name."""
    return [value for name, value in record.headers if name == "id"]


def test_the_default_is_key_and_payload_as_they_are_with_the_events_id_behind_all_other_headers() -> None:
    """Ours stay on every record."""
    record = a_record(
        of={"dedup_key": b"e-1", "headers": b'{"eventType": "OrderPlaced"}'}, headers={"env": "test"}
    )
    assert (record.topic, record.key, record.value) == ("orders", b"order-1", b'{"n": 1.10}')
    assert record.headers == [
        ("pg_tide_outbox", b"orders"),
        ("pg_tide_op", b"insert"),
        ("pg_tide_id", b"7"),
        ("pg_tide_dedup_key", b"e-1"),
        ("pg_tide_ts", b"%d" % (CREATED_US + 7)),
        ("eventType", b"OrderPlaced"),
        ("env", b"test"),
        ("id", b"e-1"),
    ]


def test_topic_and_converters_are_the_configurations() -> None:
    record = a_record(
        of={"headers": b'{"aggregatetype": "order"}', "op": b"delete", "payload": None},
        topic="outbox.event.{headers.aggregatetype}",
        wire_config={"key_converter": "json", "value_converter": "json", "emit_tombstones": True},
    )
    assert (record.topic, record.key, record.value) == ("outbox.event.order", b'"order-1"', None)


def test_the_value_is_the_projections() -> None:
    """With it a field can be put beside the payload, as the router's placement `envelope` does."""
    record = a_record(
        of={"headers": b'{"eventType": "OrderPlaced"}'},
        transform={"payload": "{payload: @, eventType: _message.headers.eventType}"},
    )
    assert record.value == b'{"payload":{"n":1.10},"eventType":"OrderPlaced"}'


@pytest.mark.parametrize(
    ("of", "found"),
    [
        ({"headers": b'{"id": "own"}', "dedup_key": b"d"}, b"own"),
        ({"headers": b'{"id": ""}', "dedup_key": b"d"}, b"d"),
        ({"headers": b'{"a": "id"}', "dedup_key": b"d"}, b"d"),
        ({"dedup_key": b"d"}, b"d"),
        ({"dedup_key": b""}, event_id("shop", "orders", 7, CREATED_US + 7)),
        ({}, event_id("shop", "orders", 7, CREATED_US + 7)),
    ],
    ids=["own header", "own header is empty", "no such header", "dedup key", "dedup key is empty", "none"],
)
def test_the_id_is_the_publishers_header_or_dedup_key_or_a_uuid(of: dict[str, Any], found: bytes) -> None:
    """One header of that name, never that of the pipeline, which would be one id for all events."""
    assert ids(a_record(of=of, headers={"id": "static"})) == [found]


def test_ids_that_are_used_again_after_a_fail_over_make_other_events() -> None:
    """And so do another outbox and another database."""
    found = [
        event_id("shop", "orders", 7, 1),
        event_id("shop", "orders", 7, 2),
        event_id("shop", "orders", 8, 1),
        event_id("shop", "invoices", 7, 1),
        event_id("other", "orders", 7, 1),
    ]
    assert len(set(found)) == len(found)
    assert event_id("shop", "orders", 7, 1) == found[0]
