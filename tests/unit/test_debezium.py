"""Debezium's change events, held to their golden file; and what a pipeline's configuration makes of them."""

import json
from dataclasses import replace
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery_kit import CREATED_US, ORIGIN, a_config, a_row
from pg_tide_relay.change_events import compile_change_events, source_of
from pg_tide_relay.encode import Record, compile_shape
from pg_tide_relay.errors import ConfigurationError, MessageError
from pg_tide_relay.message import POSTGRES_EPOCH_US, Row
from pg_tide_relay.wire_types import Origin
from pg_tide_wire_formats.connect import node, struct
from pg_tide_wire_formats.debezium import Source, compile_envelope, envelope_schema, envelope_value

GOLDEN: dict[str, Any] = json.loads(
    files("pg_tide_wire_formats").joinpath("golden/debezium.json").read_text(encoding="utf-8")
)
PIPELINE = GOLDEN["pipeline"]
CASES = GOLDEN["cases"]
SENT = [case for case in CASES if "error" not in case]
ROW_SCHEMA = [{"name": "id", "type": "bigint"}, {"name": "total", "type": "numeric(10,2)"}]


def text(value: str | None) -> bytes | None:
    return None if value is None else value.encode()


def row_of(case: dict[str, Any]) -> Row:
    message = case["message"]
    return (
        message["id"],
        message["op"].encode(),
        text(message["key"]),
        None,
        text(message["payload"]),
        text(message["old_payload"]),
        None,
        message["created_us"] - POSTGRES_EPOCH_US,
    )


def debezium(**wire_config: Any) -> Any:
    return a_config(topic=PIPELINE["topic"], wire_format="debezium", wire_config=wire_config)


def encoded(case: dict[str, Any]) -> tuple[bytes | None, bytes | None]:
    """The key and the value of a case."""
    encode = compile_change_events(
        debezium(**case["wire_config"]),
        Origin(PIPELINE["outbox"], PIPELINE["database"]),
        clock=lambda: PIPELINE["handled_ns"],
        release=PIPELINE["release"],
    )
    message = case["message"]
    key, value, headers = encode(
        row_of(case), "t", text(message["key"]), message["created_us"], [("a", b"1")]
    )
    assert headers == [("a", b"1")]
    return key, value


@pytest.mark.parametrize("case", SENT, ids=lambda case: case["name"])
def test_a_change_event_has_the_golden_key_and_value(case: dict[str, Any]) -> None:
    """Byte for byte."""
    assert encoded(case) == (text(case["key"]), text(case["value"]))


@pytest.mark.parametrize("case", SENT, ids=lambda case: case["name"])
def test_a_tombstone_follows_a_delete_that_has_a_key(case: dict[str, Any]) -> None:
    """Debezium's tombstones.on.delete, unless it is switched off."""
    record = compile_shape(debezium(**case["wire_config"]), ORIGIN)(row_of(case))
    assert record is not None
    assert record.tombstone_follows is case["tombstone"]


@pytest.mark.parametrize("case", [case for case in CASES if "error" in case], ids=lambda case: case["name"])
def test_what_is_no_change_event_is_the_messages_error(case: dict[str, Any]) -> None:
    with pytest.raises(MessageError) as caught:
        encoded(case)
    assert caught.value.cause == case["error"]
    assert caught.value.message_id == case["message"]["id"]


@pytest.mark.parametrize("case", SENT, ids=lambda case: case["name"])
def test_members_stand_in_the_order_of_the_schema(case: dict[str, Any]) -> None:
    """That of io.debezium.data.Envelope and its block source; nothing stands beside schema and payload."""
    _, value = encoded(case)
    document = json.loads(value or b"")
    payload = document
    if case["wire_config"].get("schemas_enable"):
        assert list(document) == ["schema", "payload"]
        payload = document["payload"]
        assert [field["field"] for field in document["schema"]["fields"]] == list(payload)
        source = document["schema"]["fields"][2]
        assert [field["field"] for field in source["fields"]] == list(payload["source"])
    assert list(payload) == ["before", "after", "source", "transaction", "op", "ts_ms", "ts_us", "ts_ns"]
    assert (payload["op"] == "u") <= (payload["before"] is not None)
    assert (payload["op"] == "d") <= (payload["before"] is not None)


def a_source(**names: Any) -> Source:
    given = {"version": "1", "server_name": "s", "database": "d", "schema": "public", "table": "t"}
    return Source(**{**given, **names})


@given(
    st.fixed_dictionaries({name: st.text(max_size=8) for name in ("server_name", "database", "schema", "table")}),
    st.integers(-(2**50), 2**50),
    st.integers(0, 2**62),
)  # fmt: skip
def test_an_envelope_put_together_says_what_its_value_says(
    names: dict[str, str], created_us: int, handled_ns: int
) -> None:
    """Whatever stands in the names: JSON from texts, and the value that other serializations get."""
    source = a_source(**names)
    before, after = {"id": 1}, {"id": 2}
    schema = envelope_schema(source, struct([("id", node("int32"))], optional=True, name="v"))
    for framed in (None, schema):
        value = json.loads(
            compile_envelope(source, framed)(b"u", b'{"id":1}', b'{"id":2}', created_us, handled_ns)
        )
        payload = value if framed is None else value["payload"]
        assert payload == envelope_value(source, "u", before, after, created_us, handled_ns)
        assert framed is None or value["schema"] == schema


@pytest.mark.parametrize(
    ("topic", "wire_config", "names"),
    [
        ("dbserver1.public.orders", {}, ("dbserver1", "public", "orders")),
        ("dbserver1.public.{stream_table}", {}, ("dbserver1", "public", "orders")),
        ("orders", {}, ("pg_tide", "tide", "orders")),
        ("a.b.{payload.c}", {}, ("pg_tide", "tide", "orders")),
        ("a..c", {}, ("pg_tide", "tide", "orders")),
        ("a.b.c.d", {}, ("pg_tide", "tide", "orders")),
        ("a.b.c", {"server_name": "x.y", "table": "shop.Order Lines"}, ("x.y", "shop", "Order Lines")),
        ("orders", {"table": "shop.lines"}, ("pg_tide", "shop", "lines")),
    ],
)
def test_names_are_the_configurations_or_the_topics(
    topic: str, wire_config: dict[str, str], names: tuple[str, ...]
) -> None:
    config = a_config(topic=topic, wire_format="debezium", wire_config=wire_config)
    source = source_of(config, ORIGIN, avro_names=False)
    assert (source.server_name, source.schema, source.table) == names
    assert source.database == "shop"


def test_names_of_schemas_are_those_of_topics() -> None:
    """And for Avro names of Avro: SchemaNameAdjuster, for each part."""
    source = a_source(server_name="1db-1", schema="public", table="2 Größen 🌊")
    assert source.schema_name("Envelope") == "_1db_1.public._2_Gr__en___.Envelope"
    assert replace(source, avro_names=False).schema_name("Envelope") == "1db-1.public.2_Gr__en___.Envelope"


def test_schemas_of_json_have_the_names_that_the_connector_gives_them() -> None:
    """By default it adjusts nothing: schema.name.adjustment.mode is none."""
    wire_config = {"row_schema": ROW_SCHEMA, "schemas_enable": True, "key_schemas_enable": True}
    key = {"key_strategy": "struct", "key_fields": ["id"]}
    record = a_record(a_row(payload=b'{"id": 1}'), topic="db-1.public.2", wire_config=wire_config | key)
    schema = json.loads(record.value or b"")["schema"]
    assert schema["name"] == "db-1.public.2.Envelope"
    assert [field["name"] for field in schema["fields"][:2]] == ["db-1.public.2.Value"] * 2
    assert json.loads(record.key or b"")["schema"]["name"] == "db-1.public.2.Key"


def a_record(row: Row, **keys: Any) -> Record:
    record = compile_shape(a_config(wire_format="debezium", **keys), ORIGIN)(row)
    assert record is not None
    return record


def test_both_rows_are_what_the_projection_makes_of_them() -> None:
    """And the route sees what was published."""
    record = a_record(
        a_row(op=b"update", payload=b'{"a": 2.50, "b": 1}', old_payload=b'{"a": 1.50, "b": 1}'),
        transform={"payload": "{c: a}"},
        wire_config={
            "row_schema": [{"name": "c", "type": "numeric(10,2)"}],
            "decimal_handling_mode": "string",
        },
        message_key="{payload.b}",
    )
    payload = json.loads(record.value or b"")
    assert (payload["before"], payload["after"]) == ({"c": "1.50"}, {"c": "2.50"})
    assert record.key == b"1"
    assert payload["source"]["ts_us"] == CREATED_US + 1


@pytest.mark.parametrize(
    ("wire_config", "message"),
    [
        (
            {"row_schema": [{"name": "id", "type": "serial"}]},
            "wire_config.row_schema: column 'id': 'serial' is no type that a row schema knows",
        ),
        (
            {"row_schema": ROW_SCHEMA, "key_fields": ["nr"]},
            "wire_config.key_fields: the row schema has none: it has no column 'nr'",
        ),
    ],
)
def test_a_row_schema_that_is_none_is_the_pipelines_error(wire_config: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        compile_shape(debezium(**wire_config), ORIGIN)
    assert str(caught.value) == message


def test_a_key_that_is_nested_too_deeply_is_its_messages_error() -> None:
    shape = compile_shape(debezium(key_strategy="struct", key_fields=["id"]), ORIGIN)
    with pytest.raises(MessageError, match="its key can't be written"):
        shape(a_row(payload=b'{"id": ' + b"[" * 300 + b"]" * 300 + b"}"))
