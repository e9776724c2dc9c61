"""The native format, held to its golden file."""

import json
from importlib.resources import files
from typing import Any

import orjson
import pytest

from pg_tide_relay.message import decode_headers
from pg_tide_wire_formats.headers import REPLAY, RESERVED, compile_headers
from pg_tide_wire_formats.native import native_value

GOLDEN: dict[str, Any] = json.loads(
    files("pg_tide_wire_formats").joinpath("golden/native.json").read_text(encoding="utf-8")
)


def encoded(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_a_record_has_the_golden_value_and_headers(case: dict[str, Any]) -> None:
    """Value and headers are byte for byte those of the golden file, in its order."""
    message, pipeline = case["message"], GOLDEN["pipeline"]
    own = None if message["headers"] is None else decode_headers(1, orjson.dumps(message["headers"]))
    headers_of = compile_headers(pipeline["outbox"], pipeline["static_headers"])
    headers = headers_of(
        message["id"], message["op"].encode(), encoded(message["dedup_key"]), message["created_us"], own
    )
    assert headers == [(name, value.encode()) for name, value in case["headers"]]
    assert native_value(encoded(message["payload"])) == case["value"].encode()


@pytest.mark.parametrize("case", GOLDEN["values"], ids=lambda case: case["name"])
def test_the_payload_text_is_the_value_untouched(case: dict[str, Any]) -> None:
    """No number is rounded, no escape rewritten: what PostgreSQL renders is what consumers read."""
    assert native_value(encoded(case["payload"])) == case["value"].encode()


def test_a_large_payload_is_passed_on_without_a_copy() -> None:
    """The value of a megabyte is the row's own bytes."""
    payload = b'"' + b"x" * 2**20 + b'"'
    assert native_value(payload) is payload


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_a_static_header_never_replaces_a_reserved_one(name: str) -> None:
    """Whatever a pipeline configures, a reserved name appears once, with our value."""
    headers = compile_headers("orders", {name: "forged"})(7, b"insert", b"k", 9, None)
    assert [value for found, value in headers if found == name] != [b"forged"]
    assert [found for found, _ in headers].count(name) == (name != REPLAY)


def test_header_names_appear_once() -> None:
    """Three sources with the same names give one header each."""
    own = [("a", b"1"), ("pg_tide_ts", b"2")]
    names = [
        name
        for name, _ in compile_headers("orders", {"a": "3", "pg_tide_op": "4"})(1, b"insert", b"k", 5, own)
    ]
    assert len(names) == len(set(names))
