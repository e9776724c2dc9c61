"""Rows with declared types."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pg_tide_wire_formats.connect import compile_json
from pg_tide_wire_formats.connect_columns import MisfitError
from pg_tide_wire_formats.connect_types import Modes
from pg_tide_wire_formats.documents import DocumentError, parse
from pg_tide_wire_formats.row_schema import Rows, RowSchemaError

ROWS = Rows([("id", "bigint"), ("total", "numeric(10,2)"), ("note", "text")], Modes())


def test_a_row_has_all_columns_in_the_schemas_order() -> None:
    """What is missing is null."""
    row = ROWS.convert(parse(b'{"note": "x", "id": 1}'))
    assert list(row.items()) == [("id", 1), ("total", None), ("note", "x")]
    schema = ROWS.schema("a.Value")
    assert [field["field"] for field in schema["fields"]] == ["id", "total", "note"]
    assert (schema["name"], schema["optional"]) == ("a.Value", True)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"[1]", "expected a row, an object with columns, not an array"),
        (b'{"id": "x"}', "column 'id': expected a bigint, not the string \"x\""),
        (
            b'{"id": 1, "extra": 2, "more": null}',
            "the row schema has no column 'extra', 'more': add it, or leave it out with transform.payload",
        ),
    ],
)
def test_what_does_not_fit_names_the_column(document: bytes, message: str) -> None:
    """A member that no column has is not left out silently."""
    with pytest.raises(MisfitError) as caught:
        ROWS.convert(parse(document))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ([("id", "bigint"), ("id", "text")], "column 'id' stands in it twice"),
        ([("id", "serial")], "column 'id': 'serial' is no type that a row schema knows"),
    ],
)
def test_what_is_no_row_schema_is_refused(columns: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(RowSchemaError) as caught:
        Rows(columns, Modes())
    assert str(caught.value) == message


def test_the_columns_of_a_key_are_required() -> None:
    schema = ROWS.key_schema("a.Key", ["note", "id"])
    assert schema == {
        "type": "struct",
        "fields": [
            {"type": "string", "optional": False, "field": "note"},
            {"type": "int64", "optional": False, "field": "id"},
        ],
        "optional": False,
        "name": "a.Key",
    }
    with pytest.raises(RowSchemaError, match="it has no column 'x'"):
        ROWS.key_schema("a.Key", ["x"])


@pytest.mark.parametrize(
    ("column", "text", "value"), [("id", "12", 12), ("note", "12", "12"), ("total", "1.5", b"\x00\x96")]
)
def test_a_text_is_what_its_column_is(column: str, text: str, value: Any) -> None:
    """The text of a record's key."""
    assert ROWS.convert_text(column, text) == value


def test_a_text_that_does_not_fit_names_the_column() -> None:
    with pytest.raises(MisfitError, match="column 'id': expected a bigint, not the string \"order-12\""):
        ROWS.convert_text("id", "order-12")


def test_json_has_bytes_in_base64_and_names_for_what_is_no_number() -> None:
    """JsonConverter and Jackson; orjson alone would write null, which is another value."""
    rows = Rows([("b", "bytea"), ("d", "double precision"), ("f", "real[]")], Modes())
    document = parse(b'{"b": "\\\\xfbff", "d": "NaN", "f": ["Infinity", 1.5, "-Infinity", null]}')
    text = compile_json(rows.schema("v"))(rows.convert(document))
    assert text == b'{"b":"+/8=","d":"NaN","f":["Infinity",1.5,"-Infinity",null]}'


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "NaN", "-Infinity", "\\x00ff", "2026-01-31", "2026-01-31T09:15:00.5+01:00", "12.50"]),
    st.lists(st.integers(-5, 5), max_size=3),
    st.dictionaries(st.sampled_from(["a", "b"]), st.integers(), max_size=2),
)  # fmt: skip
MANY = Rows(
    [
        ("boolean", "boolean"),
        ("integer", "integer"),
        ("bigint", "bigint"),
        ("double", "double precision"),
        ("numeric", "numeric(10,2)"),
        ("any numeric", "numeric"),
        ("text", "text"),
        ("json", "jsonb"),
        ("bytes", "bytea"),
        ("date", "date"),
        ("at", "timestamptz"),
        ("list", "bigint[]"),
        ("ünicode", "text"),
    ],
    Modes(),
)


def outcome(made: Callable[[], Any]) -> tuple[Any, str]:
    """What is made, or what is said instead."""
    try:
        return made(), ""
    except MisfitError as error:
        return None, str(error)


@given(
    st.dictionaries(
        st.sampled_from([field["field"] for field in MANY.schema("")["fields"]] + ["unknown"]), VALUES
    )
)
def test_reading_a_row_at_once_gives_what_the_long_way_gives(document: dict[str, Any]) -> None:
    """The same value, the same JSON, the same error; JSON in a column as it is written."""
    text = json.dumps(document, ensure_ascii=False).encode()
    expected, error = outcome(lambda: MANY.convert(parse(text)))
    if error:
        assert outcome(lambda: MANY.compile_reader(as_json=True)(text)) == (None, error)
        assert outcome(lambda: MANY.compile_reader(as_json=False)(text)) == (None, error)
        return
    if expected["json"] is not None:
        expected["json"] = json.dumps(document["json"], ensure_ascii=False)
    value = MANY.compile_reader(as_json=False)(text)
    assert repr(value) == repr(expected)
    as_json = MANY.compile_reader(as_json=True)(text)
    assert json.loads(as_json) == json.loads(compile_json(MANY.schema(""))(expected))
    assert list(json.loads(as_json)) == list(expected)


@pytest.mark.parametrize("names", [["id", "note"], ['say "id"', "back\\slash"]])
def test_columns_of_any_name_are_read(names: list[str]) -> None:
    """Also of names that can't be read at once."""
    rows = Rows([(names[0], "bigint"), (names[1], "jsonb")], Modes())
    text = json.dumps({names[1]: [1.5, None]}).encode()
    assert rows.compile_reader(as_json=False)(text) == {names[0]: None, names[1]: "[1.5, null]"}
    assert json.loads(rows.compile_reader(as_json=True)(text)) == {names[0]: None, names[1]: "[1.5, null]"}


@pytest.mark.parametrize("way", ["at once", "long"])
def test_json_in_an_array_is_as_it_is_written(way: str) -> None:
    """PostgreSQL's spaces stay, as they do in a column; a null of JSON is null."""
    names = ["docs", "n"] if way == "at once" else ['"docs"', "n"]
    rows = Rows([(names[0], "jsonb[]"), (names[1], "bigint")], Modes())
    text = json.dumps({names[0]: [{"a": [1.5, None]}, None, "x"], names[1]: 1}).encode()
    row = {names[0]: ['{"a": [1.5, null]}', None, '"x"'], names[1]: 1}
    assert rows.compile_reader(as_json=False)(text) == row
    assert json.loads(rows.compile_reader(as_json=True)(text)) == row


def test_what_is_no_document_is_refused() -> None:
    with pytest.raises(DocumentError):
        MANY.compile_reader(as_json=True)(b"{")
