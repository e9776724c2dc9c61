"""Avro, held to its golden file; schemas that are none; frames and subjects as Confluent's serializers have them."""

import json
from importlib.resources import files
from typing import Any

import pytest

from pg_tide_wire_formats.avro import AvroError, AvroSchemaError, compile_avro, frame, subject_name
from pg_tide_wire_formats.documents import Number, parse

GOLDEN: Any = parse(files("pg_tide_wire_formats").joinpath("golden/avro.json").read_bytes())


def of_golden(member: str) -> list[Any]:
    return [
        pytest.param(case["schema"], each, id=f"{case['name']}-{number}")
        for case in GOLDEN["cases"]
        for number, each in enumerate(case[member])
    ]


@pytest.mark.parametrize(("schema", "each"), of_golden("documents"))
def test_a_document_has_the_golden_body(schema: Any, each: Any) -> None:
    assert compile_avro(json.dumps(schema)).encode(each["document"]).hex() == each["body"]


@pytest.mark.parametrize(("schema", "each"), of_golden("errors"))
def test_a_document_that_does_not_fit_has_the_golden_error(schema: Any, each: Any) -> None:
    """It names the place, what is expected there and what there is."""
    with pytest.raises(AvroError) as caught:
        compile_avro(json.dumps(schema)).encode(each["document"])
    assert str(caught.value) == each["error"]


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ("x" * 100, f'$: expected long, not the string "{"x" * 59}…'),
        (10**5000, "$: expected long, not the number of 16610 bits"),
        (Number("0." + "1" * 100), f"$: expected long, not the number 0.{'1' * 58}…"),
    ],
    ids=["text", "integer", "number"],
)
def test_an_error_shows_no_more_than_the_beginning_of_a_value(document: Any, error: str) -> None:
    with pytest.raises(AvroError) as caught:
        compile_avro('"long"').encode(document)
    assert str(caught.value) == error


@pytest.mark.parametrize(
    "digits", [b"1" * 5000, b"0." + b"1" * 5000, b"1e99999999999999999999", b"1e-999999999"]
)
def test_a_number_of_any_length_is_refused_and_not_reckoned_with(digits: bytes) -> None:
    decimal = compile_avro({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9})
    with pytest.raises(AvroError, match=r"expected decimal\(38,9\)"):
        decimal.encode(parse(digits))


def test_a_zero_with_any_exponent_is_zero() -> None:
    decimal = compile_avro({"type": "bytes", "logicalType": "decimal", "precision": 3, "scale": 1})
    assert {decimal.encode(Number(text)) for text in ("0e99999", "-0.000", "0E-5", "0.0")} == {b"\x02\x00"}


@pytest.mark.parametrize(
    ("count", "written"), [(63, "7e"), (64, "8001"), (8191, "fe7f"), (8192, "808001"), (2**20, "80808001")]
)
def test_a_text_of_any_length_stands_behind_its_count(count: int, written: str) -> None:
    assert compile_avro('"string"').encode("x" * count) == bytes.fromhex(written) + b"x" * count


def test_half_of_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(AvroError, match=r"^\$\.a: half of a surrogate pair"):
        compile_avro(a_record({"type": "string"})).encode({"a": "\ud800"})


def test_what_nests_too_deeply_is_refused() -> None:
    node = compile_avro(
        {"type": "record", "name": "Node", "fields": [{"name": "next", "type": ["null", "Node"]}]}
    )
    document: dict[str, Any] = {}
    for _ in range(5000):
        document = {"next": document}
    with pytest.raises(AvroError, match="nested too deeply"):
        node.encode(document)
    schema: Any = "int"
    for _ in range(5000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(AvroSchemaError, match="recursion"):
        compile_avro(schema)


def a_record(*types: Any, **more: Any) -> dict[str, Any]:
    fields = [{"name": "abcdef"[number], "type": each} for number, each in enumerate(types)]
    return {"type": "record", "name": "R", "fields": fields, **more}


SCHEMAS_THAT_ARE_NONE = [
    ("nope", "not JSON"),
    ('{"type": "int"', "not JSON"),
    ({"type": "nope"}, "there is no type nope"),
    ({"type": ["int"]}, 'a name under "type"'),
    ({}, 'a name under "type"'),
    ([], "a union needs types"),
    ("5", "not 5"),
    ("null x", "not JSON"),
    ({"type": "record", "name": "R"}, 'R needs an array of "fields"'),
    ({"type": "record", "fields": []}, "needs a name"),
    (a_record(name="1a"), "'1a' is no name"),
    (a_record(name="a..b"), r"'a\.\.b' is no name"),
    (a_record(name="R", namespace="a-b"), "'a-b.R' is no name"),
    (a_record(name="int"), "int is the name of a primitive type"),
    (a_record("int") | {"fields": [{"name": "x-y", "type": "int"}]}, "'x-y' in R is no name of a field"),
    (a_record("int") | {"fields": [{"name": "x", "type": "int"}] * 2}, "R has the field x twice"),
    (a_record("int") | {"fields": [{"name": "x"}]}, "the field x of R needs a type"),
    (a_record("int") | {"fields": ["x"]}, "no name of a field"),
    (a_record(a_record("int")), "R is defined twice"),
    (["null", "null"], "null twice"),
    (["int", ["string"]], "a union may not stand in a union"),
    ([{"type": "array", "items": "int"}, {"type": "array", "items": "string"}], "array twice"),
    ({"type": "array"}, 'an array needs "items"'),
    ({"type": "map"}, 'a map needs "values"'),
    ({"type": "fixed", "name": "F", "size": -1}, "F needs a size in bytes, not -1"),
    ({"type": "fixed", "name": "F", "size": True}, "F needs a size in bytes"),
    ({"type": "enum", "name": "E", "symbols": ["a", "a"]}, "E has a symbol twice"),
    ({"type": "enum", "name": "E", "symbols": ["a-b"]}, "'a-b' in E is no symbol"),
    ({"type": "enum", "name": "E"}, 'E needs an array of "symbols"'),
    (
        {"type": "enum", "name": "E", "symbols": ["a"], "default": "b"},
        "the default of E is none of its symbols",
    ),
    ({"type": "bytes", "logicalType": "decimal"}, "a decimal needs its precision"),
    (
        {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 5},
        "between 0 and its precision 4, not 5",
    ),
    (
        {"type": "fixed", "name": "F", "size": 2, "logicalType": "decimal", "precision": 5},
        "F of 2 bytes holds 4 digits, not 5",
    ),
    (
        a_record() | {"fields": [{"name": "x", "type": "int", "default": "5"}]},
        '^the default of x in R: expected int, not the string "5"$',
    ),
    (
        a_record() | {"fields": [{"name": "x", "type": "int", "default": None}]},
        "^the default of x in R: expected int, not null$",
    ),
    (
        a_record()
        | {"fields": [{"name": "x", "type": {"type": "array", "items": "int"}, "default": [1, "x"]}]},
        r'^the default of x in R: \$\[1\]: expected int, not the string "x"$',
    ),
]


@pytest.mark.parametrize(("schema", "reason"), SCHEMAS_THAT_ARE_NONE)
def test_a_schema_that_is_none_is_refused_with_the_reason(schema: Any, reason: str) -> None:
    with pytest.raises(AvroSchemaError, match=reason):
        compile_avro(schema)


def test_a_schema_is_registered_as_it_was_written() -> None:
    """Only spaces go: documentation, aliases and unknown properties are the reader's, numbers keep their digits."""
    text = '{"type": "record", "name": "R", "doc": "ä", "x": 1.10, "aliases": ["S"], "fields": []}'
    avro = compile_avro(text)
    assert avro.text == '{"type":"record","name":"R","doc":"ä","x":1.10,"aliases":["S"],"fields":[]}'
    assert (
        compile_avro(json.loads('{"type": "map", "values": "int"}')).text == '{"type":"map","values":"int"}'
    )


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        (a_record(), "R"),
        (a_record(namespace="a.b"), "a.b.R"),
        (a_record(name="c.R", namespace="a.b"), "c.R"),
        ({"type": "enum", "name": "E", "symbols": []}, None),
        (["null", a_record()], None),
        ('"string"', None),
    ],
)
def test_only_a_record_has_a_name_for_subjects(schema: Any, name: str | None) -> None:
    assert compile_avro(schema).name == name


@pytest.mark.parametrize(
    ("schema_id", "bytes_of_it"), [(1, "0000000001"), (258, "0000000102"), (2**31 - 1, "007fffffff")]
)
def test_a_frame_is_a_zero_and_the_schemas_id(schema_id: int, bytes_of_it: str) -> None:
    assert frame(schema_id).hex() == bytes_of_it


@pytest.mark.parametrize(
    ("strategy", "of_key", "of_value"),
    [
        ("TopicNameStrategy", "my.topic-key", "my.topic-value"),
        ("RecordNameStrategy", "shop.Order", "shop.Order"),
        ("TopicRecordNameStrategy", "my.topic-shop.Order", "my.topic-shop.Order"),
    ],
)
def test_a_subject_is_named_as_confluents_strategies_name_it(
    strategy: Any, of_key: str, of_value: str
) -> None:
    """Only TopicNameStrategy tells keys from values."""
    named = [subject_name(strategy, "my.topic", "shop.Order", is_key) for is_key in (True, False)]
    assert named == [of_key, of_value]


@pytest.mark.parametrize("strategy", ["RecordNameStrategy", "TopicRecordNameStrategy"])
def test_a_strategy_that_needs_a_record_refuses_what_has_no_name(strategy: Any) -> None:
    with pytest.raises(AvroSchemaError, match=f"{strategy} needs a schema that is a record"):
        subject_name(strategy, "t", None, False)
    assert subject_name("TopicNameStrategy", "t", None, True) == "t-key"
