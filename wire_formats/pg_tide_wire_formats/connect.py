"""Kafka Connect's schemas and values, as far as rows of PostgreSQL need them.

A schema is the JSON object that Kafka's JsonConverter writes (``asJsonSchema``), with its members in that
order. A value is an int, float, str, bool, bytes, list, dict (of a struct) or None; bytes of a Decimal are its
unscaled number, big-endian in two's complement.
"""

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final

import orjson

Schema = dict[str, Any]

FLOATS: Final = frozenset({"float", "double"})


def node(
    kind: str,
    *,
    optional: bool = True,
    name: str | None = None,
    version: int | None = None,
    doc: str | None = None,
    parameters: Mapping[str, str] | None = None,
    default: Any = None,
) -> Schema:
    """The schema of a value that has no parts. ``kind``: int16, int64, string, bytes and so on."""
    said = {
        "name": name,
        "version": version,
        "doc": doc,
        "parameters": parameters and dict(parameters),
        "default": default,
    }
    return {"type": kind, "optional": optional} | {
        key: value for key, value in said.items() if value is not None
    }


def array(items: Schema) -> Schema:
    """The schema of a list; it may be null."""
    return {"type": "array", "items": items, "optional": True}


def struct(
    fields: Sequence[tuple[str, Schema]],
    *,
    optional: bool,
    name: str,
    version: int | None = None,
    doc: str | None = None,
) -> Schema:
    """The schema of an object: its members in their order."""
    said = {"name": name, "version": version, "doc": doc}
    return {
        "type": "struct",
        "fields": [schema | {"field": field} for field, schema in fields],
        "optional": optional,
    } | {key: value for key, value in said.items() if value is not None}


def compile_json(schema: Schema) -> Callable[[Any], bytes]:
    """A value of this schema as JsonConverter writes it: bytes in base64, NaN and infinity as strings."""
    names_floats = has_floats(schema)

    def as_json(value: Any) -> bytes:
        return orjson.dumps(with_named_floats(value) if names_floats else value, default=_base64)

    return as_json


def has_floats(schema: Schema) -> bool:
    """Whether a value of this schema may hold what JSON has no number for."""
    if schema["type"] == "struct":
        return any(map(has_floats, schema["fields"]))
    if schema["type"] == "array":
        return has_floats(schema["items"])
    return schema["type"] in FLOATS


def _base64(value: object) -> str:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(f"no value of Kafka Connect: {type(value).__name__}")


def with_named_floats(value: Any) -> Any:
    """NaN and the infinities as Jackson writes them; other writers of JSON make them null."""
    if type(value) is float and not isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"  # noqa: PLR0124 (NaN)
    if type(value) is dict:
        return {key: with_named_floats(each) for key, each in value.items()}
    if type(value) is list:
        return [with_named_floats(each) for each in value]
    return value
