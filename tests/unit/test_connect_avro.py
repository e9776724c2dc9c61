"""Values of Kafka Connect in Avro, held to what Confluent's AvroData made of them; and read by others."""

import io
import json
from base64 import b64decode
from importlib.resources import files
from typing import Any

import avro.io
import avro.schema
import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pg_tide_wire_formats.avro import AvroError, AvroSchemaError
from pg_tide_wire_formats.connect import array, node, struct
from pg_tide_wire_formats.connect_avro import compile_connect_avro
from pg_tide_wire_formats.connect_types import Modes
from pg_tide_wire_formats.debezium import Source, envelope_schema, envelope_value
from pg_tide_wire_formats.documents import parse
from pg_tide_wire_formats.row_schema import Rows

GOLDEN: Any = json.loads(
    files("pg_tide_wire_formats").joinpath("golden/connect_avro.json").read_text(encoding="utf-8")
)
CASES = GOLDEN["cases"]


def value_of(schema: Any, value: Any) -> Any:
    """A value of Connect from what JsonConverter writes for it."""
    kind = schema["type"]
    if value is None:
        return None
    if kind == "bytes":
        return b64decode(value)
    if kind == "struct":
        return {each["field"]: value_of(each, value.get(each["field"])) for each in schema["fields"]}
    if kind == "array":
        return [value_of(schema["items"], each) for each in value]
    if kind == "map" and isinstance(value, dict):
        return {key: value_of(schema["values"], each) for key, each in value.items()}
    if kind == "map":
        return [[value_of(schema["keys"], key), value_of(schema["values"], each)] for key, each in value]
    return value


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_schema_becomes_the_golden_schema_in_avro(case: Any) -> None:
    """Member by member in their order: a registry that compares texts finds the one that is there."""
    made = compile_connect_avro(case["connect"])
    assert made.text == json.dumps(case["avro"], separators=(",", ":"), ensure_ascii=False)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_value_has_the_golden_body(case: Any) -> None:
    encode = compile_connect_avro(case["connect"]).encode
    for each in case["values"]:
        assert encode(value_of(case["connect"], each["value"])).hex() == each["body"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_the_golden_schemas_are_avro_for_others(case: Any) -> None:
    fastavro.parse_schema(case["avro"])
    avro.schema.parse(json.dumps(case["avro"]))


def a_struct(**types: Any) -> Any:
    return struct(list(types.items()), optional=False, name="shop.public.orders.Value")


ROW = a_struct(
    id=node("int64", optional=False),
    small=node("int16"),
    tiny=node("int8"),
    text=node("string"),
    paid=node("boolean"),
    ratio=node("double"),
    weight=node("float"),
    raw=node("bytes"),
    tags=array(node("string")),
    inner=struct([("x", node("int32", optional=False))], optional=True, name="Inner"),
)
VALUES = {
    "id": st.integers(-(2**63), 2**63 - 1),
    "small": st.integers(-(2**15), 2**15 - 1),
    "tiny": st.integers(-128, 127),
    "text": st.text(st.characters(exclude_categories=["Cs"])),
    "paid": st.booleans(),
    "ratio": st.floats(allow_nan=False),
    "weight": st.floats(width=32, allow_nan=False),
    "raw": st.binary(),
    "tags": st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=3),
    "inner": st.fixed_dictionaries({"x": st.integers(-(2**31), 2**31 - 1)}),
}
ROWS = st.fixed_dictionaries({key: each if key == "id" else st.none() | each for key, each in VALUES.items()})
COMPILED = compile_connect_avro(ROW)
THEIRS = avro.schema.parse(COMPILED.text)


@given(ROWS)
@settings(max_examples=100, deadline=None)
def test_others_read_a_row_as_it_was(row: dict[str, Any]) -> None:
    body = COMPILED.encode(row)
    assert fastavro.schemaless_reader(io.BytesIO(body), json.loads(COMPILED.text), None) == row
    assert avro.io.DatumReader(THEIRS).read(avro.io.BinaryDecoder(io.BytesIO(body))) == row


EVERY_TYPE = {
    "boolean": "true",
    "smallint": "-32768",
    "integer": "2147483647",
    "bigint": "-9223372036854775808",
    "real": "0.5",
    "double precision": '"NaN"',
    "numeric": "12345678901234567890.12",
    "numeric(38,10)": "-1.5",
    "text": '"ä🌊"',
    "uuid": '"6f2c7c0e-0b43-4e64-9f53-1d6f3d5a3c11"',
    "jsonb": '{"a": 1.10}',
    "bytea": '"\\\\x00ff"',
    "date": '"2026-01-31"',
    "time": '"09:15:00.123456"',
    "timestamp": '"2026-01-31T09:15:00.123456"',
    "timestamptz": '"2026-01-31T09:15:00.123456+01:00"',
    "interval": '"1 day 02:00:00"',
    "text[]": '["a", null]',
}


@pytest.mark.parametrize(
    "modes",
    [
        Modes(),
        Modes(decimals="string", times="connect", binary="base64"),
        Modes(decimals="double", times="isostring", binary="hex"),
    ],
    ids=["defaults", "connect", "texts"],
)
def test_others_read_a_change_event_whose_row_has_every_type(modes: Modes) -> None:
    """As the bytes and numbers that Connect has, whatever their logical types say."""
    columns = {f"c{number}": kind for number, kind in enumerate(EVERY_TYPE)}
    rows = Rows(list(columns.items()), modes)
    source = Source(version="1", server_name="shop", database="d", schema="public", table="t")
    texts = [f'"{name}": {EVERY_TYPE[kind]}' for name, kind in columns.items()]
    row = rows.convert(parse(f"{{{', '.join(texts)}}}".encode()))
    value = envelope_value(source, "u", dict.fromkeys(row), row, 1, 2)
    made = compile_connect_avro(envelope_schema(source, rows.schema(source.schema_name("Value"))))
    body, plain = made.encode(value), made.text.replace('"logicalType":', '"said":')
    read = fastavro.schemaless_reader(io.BytesIO(body), json.loads(plain), None)
    assert repr(read) == repr(value)  # NaN is not equal to itself
    theirs = avro.io.DatumReader(avro.schema.parse(plain)).read(avro.io.BinaryDecoder(io.BytesIO(body)))
    assert repr(theirs) == repr(read)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"id": None}, "$.id: expected int64, not null"),
        ({"id": 2**63}, f"$.id: expected int64, not the number {2**63}"),
        ({"id": "1"}, '$.id: expected int64, not the string "1"'),
        ({"small": 32768}, "$.small: expected int16, not the number 32768"),
        ({"tiny": -129}, "$.tiny: expected int8, not the number -129"),
        ({"tiny": True}, "$.tiny: expected int8, not true"),
        ({"text": b"x"}, "$.text: expected string, not 1 bytes"),
        ({"raw": "x"}, '$.raw: expected bytes, not the string "x"'),
        ({"weight": 1e39}, "$.weight: expected float, not the number 1e+39"),
        ({"ratio": True}, "$.ratio: expected double, not true"),
        ({"paid": 1}, "$.paid: expected boolean, not the number 1"),
        ({"tags": ["a", 1]}, "$.tags[1]: expected string, not the number 1"),
        ({"tags": "a"}, '$.tags: expected array, not the string "a"'),
        ({"inner": {}}, "$.inner.x: missing, expected int32"),
        ({"inner": {"x": 1, "y": 2}}, "$.inner.y: record Inner has no such field"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_its_place(change: Any, error: str) -> None:
    with pytest.raises(AvroError) as caught:
        COMPILED.encode({"id": 1, **change})
    assert str(caught.value) == error


@pytest.mark.parametrize(
    ("pairs", "error"),
    [
        ([[1, "a"], [2, 5]], "$[1].value: expected string, not the number 5"),
        ([["x", "a"]], '$[0].key: expected int32, not the string "x"'),
        ([[1]], "$[0]: expected a pair of key and value, not an array"),
        ({"1": "a"}, "$: expected array, not an object"),
    ],
)
def test_an_entry_of_a_map_that_does_not_fit_is_refused_with_its_place(pairs: Any, error: str) -> None:
    texts_by_number = {
        "type": "map",
        "keys": node("int32", optional=False),
        "values": node("string"),
        "optional": False,
    }
    with pytest.raises(AvroError) as caught:
        compile_connect_avro(texts_by_number).encode(pairs)
    assert str(caught.value) == error


def a_decimal(**parameters: str) -> Any:
    return node("bytes", name="org.apache.kafka.connect.data.Decimal", version=1, parameters=parameters)


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "int33"}, "'int33' is no type of Kafka Connect"),
        ({"type": "array"}, 'a schema of type array needs "items"'),
        ({"type": "map", "values": {"type": "int32"}}, 'a schema of type map needs "keys"'),
        ({"type": "struct"}, 'a schema of type struct needs "fields"'),
        ({"type": "struct", "fields": [{"type": "int32"}]}, "None in .* is no name of a field"),
        (a_struct(**{"a-b": node("int32")}), "'a-b' in shop.public.orders.Value is no name of a field"),
        (struct([], optional=False, name="my-shop.Value"), "'my-shop.Value' is no name"),
        (
            a_struct(
                a=struct([], optional=True, name="X"),
                b=struct([("c", node("int8"))], optional=True, name="X"),
            ),
            "X is defined twice",
        ),
        (a_decimal(scale="x"), "the parameter scale is no number: 'x'"),
        (a_decimal(scale="5", **{"connect.decimal.precision": "4"}), "between 0 and its precision 4, not 5"),
        (a_decimal(scale="-2"), "between 0 and its precision 64, not -2"),
        (node("bytes", default="?"), "a default of type bytes is in base64, not '\\?'"),
        (a_struct(a=node("int32", default="x")), 'the default of a: expected int32, not the string "x"'),
        (struct([], optional=False, name="X") | {"default": {}}, "the default of a struct is not supported"),
    ],
)
def test_a_schema_that_can_be_none_in_avro_is_refused_with_the_reason(schema: Any, reason: str) -> None:
    with pytest.raises(AvroSchemaError, match=reason):
        compile_connect_avro(schema)


def test_a_map_with_texts_as_keys_that_may_be_null_is_an_array_of_entries() -> None:
    """JsonConverter can't write such a map, so no golden case has one."""
    made = compile_connect_avro(
        {"type": "map", "keys": node("string"), "values": node("int32", optional=False), "optional": False}
    )
    assert json.loads(made.text)["items"]["fields"] == [
        {"name": "key", "type": ["null", "string"], "default": None},
        {"name": "value", "type": "int"},
    ]
    assert made.encode([[None, 1], ["a", -1]]).hex() == "0400020202610100"


def test_a_records_name_is_there_for_subjects() -> None:
    assert COMPILED.name == "shop.public.orders.Value"
    assert compile_connect_avro(node("string")).name is None
