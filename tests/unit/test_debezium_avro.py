"""Change events in Avro: put together from parts, and what the whole schema makes of the whole value."""

import io
import json
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pg_tide_wire_formats.avro import AvroSchemaError
from pg_tide_wire_formats.connect_avro import compile_connect_avro
from pg_tide_wire_formats.connect_types import Modes
from pg_tide_wire_formats.debezium import Source, envelope_schema, envelope_value
from pg_tide_wire_formats.debezium_avro import compile_avro_envelope
from pg_tide_wire_formats.documents import parse
from pg_tide_wire_formats.row_schema import Rows

ROWS = Rows(
    [
        ("id", "bigint"),
        ("total", "numeric(10,2)"),
        ("tags", "text[]"),
        ("any", "numeric"),
        ("at", "timestamptz"),
    ],
    Modes(),
)
ROW = ROWS.schema("dbserver1.public.orders.Value")
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers(-(2**63), 2**63 - 1),
        "total": st.sampled_from([1.1, -0.01, 0, 99999999]),
        "tags": st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=3),
        "any": st.integers(),
        "at": st.sampled_from(["2026-01-31T09:15:00.5+01:00", "infinity"]),
    },
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


def a_source(**names: str) -> Source:
    given = {
        "version": "1",
        "server_name": "dbserver1",
        "database": "d",
        "schema": "public",
        "table": "orders",
    }
    return Source(**{**given, **names})


def row_of(document: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if document is None else ROWS.convert(parse(json.dumps(document).encode()))


@given(
    before=st.none() | DOCUMENTS,
    after=st.none() | DOCUMENTS,
    database=NAMES,
    op=st.sampled_from(["c", "u", "d"]),
    created_us=st.integers(-(2**50), 2**50),
    handled_ns=st.integers(0, 2**62),
)
def test_an_event_put_together_is_the_whole_event(
    before: Any, after: Any, database: str, op: str, created_us: int, handled_ns: int
) -> None:
    """Byte for byte, and as fastavro reads it."""
    source = a_source(database=database)
    made = compile_avro_envelope(source, ROW)
    rows = row_of(before), row_of(after)
    body = made.encode(op.encode(), *rows, created_us, handled_ns)
    whole = compile_connect_avro(envelope_schema(source, ROW))
    value = envelope_value(source, op, *rows, created_us, handled_ns)
    assert body == whole.encode(value)
    assert (made.name, made.text) == (whole.name, whole.text)
    read = fastavro.schemaless_reader(io.BytesIO(body), fastavro.parse_schema(json.loads(made.text)), None)
    assert isinstance(read, dict)
    assert (read["op"], read["source"]["db"], read["source"]["ts_us"]) == (op, database, created_us)
    assert (read["before"] is None, read["after"] is None) == (before is None, after is None)
    if after is not None:
        assert (read["after"]["id"], read["after"]["tags"]) == (after.get("id"), after.get("tags"))


def test_a_row_stands_once_in_the_schema() -> None:
    """Its second use is its name, as AvroData has it."""
    schema = json.loads(compile_avro_envelope(a_source(), ROW).text)
    fields = {field["name"]: field["type"] for field in schema["fields"]}
    assert fields["before"][1]["name"] == "Value"
    assert fields["after"] == ["null", "Value"]
    assert (schema["namespace"], schema["name"]) == ("dbserver1.public.orders", "Envelope")


def test_a_column_whose_name_is_none_in_avro_is_refused() -> None:
    row = Rows([("order id", "bigint")], Modes()).schema("s.Value")
    with pytest.raises(AvroSchemaError, match="order id"):
        compile_avro_envelope(a_source(), row)
