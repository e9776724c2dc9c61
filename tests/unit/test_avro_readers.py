"""Avro that others read: made-up schemas, by fastavro and by Apache Avro's own library."""

import io
import json
import warnings
from decimal import Decimal
from importlib.resources import files
from typing import Any

import avro.io
import avro.schema
import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from avro_kit import Made, Sample, is_seen, made_types
from pg_tide_wire_formats.avro import AvroError, compile_avro
from pg_tide_wire_formats.documents import Number, parse, render

GOLDEN: Any = parse(files("pg_tide_wire_formats").joinpath("golden/avro.json").read_bytes())
CASES = GOLDEN["cases"]


def fastavro_reads(schema: Any, body: bytes) -> Any:
    stream = io.BytesIO(body)
    read = fastavro.schemaless_reader(stream, fastavro.parse_schema(schema), None)
    assert stream.read() == b"", "nothing is left over"
    return read


def apache_reads(schema: Any, body: bytes) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", avro.errors.IgnoredLogicalType)  # of names that nobody knows
        parsed = avro.schema.parse(json.dumps(schema))
    stream = io.BytesIO(body)
    read = avro.io.DatumReader(parsed).read(avro.io.BinaryDecoder(stream))
    assert stream.read() == b"", "nothing is left over"
    return read


READERS = {"fastavro": fastavro_reads, "apache": apache_reads}


def compiled(schema: Any) -> Any:
    return compile_avro(json.dumps(schema))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_golden_body_shows_a_reader_the_whole_document(case: Any, reader: str) -> None:
    for each in case["documents"]:
        read = READERS[reader](case["schema"], bytes.fromhex(each["body"]))
        assert is_seen(each["document"], read), (each, read)


@st.composite
def documents(draw: st.DrawFn) -> tuple[Made, Sample]:
    """A made-up schema, and a document that fits it."""
    made = draw(made_types())
    return made, draw(made.samples)


@given(documents())
@settings(max_examples=150, deadline=None)
def test_a_document_is_written_as_fastavro_writes_its_values(drawn: tuple[Made, Sample]) -> None:
    """Byte for byte, for documents that went through JSON."""
    made, sample = drawn
    body = compiled(made.schema).encode(parse(render(sample.document)))
    expected = io.BytesIO()
    fastavro.schemaless_writer(expected, fastavro.parse_schema(made.schema), sample.native)
    assert body == expected.getvalue()


@pytest.mark.parametrize("reader", READERS)
@given(documents())
@settings(max_examples=60, deadline=None)
def test_a_reader_sees_the_whole_document(reader: str, drawn: tuple[Made, Sample]) -> None:
    made, sample = drawn
    document = parse(render(sample.document))
    read = READERS[reader](made.schema, compiled(made.schema).encode(document))
    assert is_seen(document, read), read


def _with_other(draw: st.DrawFn, document: Any, other: Any) -> Any:
    """The document with another value in some place of it."""
    if isinstance(document, dict) and document and draw(st.booleans()):
        key = draw(st.sampled_from(sorted(document)))
        return {**document, key: _with_other(draw, document[key], other)}
    if isinstance(document, list) and document and draw(st.booleans()):
        at = draw(st.integers(0, len(document) - 1))
        return [*document[:at], _with_other(draw, document[at], other), *document[at + 1 :]]
    if isinstance(document, dict) and draw(st.booleans()):
        return {**document, "unheard_of": other}
    return other


@st.composite
def anything_for(draw: st.DrawFn) -> tuple[Any, Any]:
    """A made-up schema, and a document of which one place may not fit it."""
    made, sample = draw(documents())
    odd = st.sampled_from(
        [
            None,
            True,
            0,
            -1,
            2**31,
            2**53 + 1,
            2**63,
            10**30,
            "",
            "x",
            "\\x00",
            "1.5",
            "NaN",
            "infinity",
            [],
            {},
            [1],
        ]
        + ["2026-01-31", "09:15:00", "2026-01-31T09:15:00Z", "open", {"a": 1}]
        + [Number(text) for text in ("1.0", "0.1", "1.005", "1e400", "-0.0", "1e2")]
    )
    return made.schema, parse(render(_with_other(draw, sample.document, draw(odd))))


@given(anything_for())
@settings(max_examples=200, deadline=None)
def test_what_does_not_fit_is_refused_and_never_written_as_something_else(drawn: tuple[Any, Any]) -> None:
    """Whatever stands in a document: there is an error, or a reader sees all of it."""
    schema, document = drawn
    try:
        body = compiled(schema).encode(document)
    except AvroError:
        return
    read = fastavro_reads(schema, body)
    assert is_seen(document, read), read


def test_what_a_reader_has_to_see_is_all_of_it() -> None:
    """The judge of these tests tells a lost digit, member or element."""
    for document, read in (
        ({"a": 1}, {}),
        ({"a": 1}, {"a": None}),
        ([1, 2], [1]),
        (Number("1.10"), Decimal("1.1") + Decimal("0.001")),
        (2**53 + 1, float(2**53)),
        (True, 1),
        (1, True),
        ("\\x00", b""),
        (None, 0),
    ):
        assert not is_seen(document, read), (document, read)
    assert is_seen({"a": Number("1.10")}, {"a": Decimal("1.1"), "b": "a default"})
