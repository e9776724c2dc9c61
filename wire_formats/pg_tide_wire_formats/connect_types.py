"""PostgreSQL's types as Debezium's connector has them: a schema of Kafka Connect, and what makes a value.

Source of the mapping: io.debezium.connector.postgresql.PostgresValueConverter. A value comes as PostgreSQL's
``to_jsonb`` writes it. All columns are optional: null is null in every type.
"""

import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from pg_tide_wire_formats.connect import array, node
from pg_tide_wire_formats.connect_columns import ColumnType, ColumnTypeError, MisfitError, what, with_article
from pg_tide_wire_formats.connect_numbers import (
    INTEGERS,
    DecimalMode,
    double,
    integer_type,
    numeric_type,
    single,
)
from pg_tide_wire_formats.connect_times import (
    TimeMode,
    date_type,
    interval_type,
    time_type,
    timestamp_type,
    timestamptz_type,
    timetz_type,
)
from pg_tide_wire_formats.documents import render

BinaryMode = Literal["bytes", "base64", "base64-url-safe", "hex"]


@dataclass(frozen=True, kw_only=True)
class Modes:
    """Debezium's options of the same names (decimal.handling.mode and so on), and its defaults."""

    decimals: DecimalMode = "precise"
    times: TimeMode = "adaptive"
    binary: BinaryMode = "bytes"


_STRINGS: Final = {
    "text": None,
    "character varying": None,
    "character": None,
    "name": None,
    "citext": None,
    "inet": None,
    "cidr": None,
    "macaddr": None,
    "macaddr8": None,
    "int4range": None,
    "int8range": None,
    "numrange": None,
    "tsrange": None,
    "tstzrange": None,
    "daterange": None,
    "xml": "io.debezium.data.Xml",
    "ltree": "io.debezium.data.Ltree",
    "tsvector": "io.debezium.data.Tsvector",
}
_SYNONYMS: Final = {
    "bool": "boolean",
    "int2": "smallint",
    "int": "integer",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "float": "double precision",
    "decimal": "numeric",
    "varchar": "character varying",
    "char": "character",
    "bpchar": "character",
    "timestamptz": "timestamp with time zone",
    "timestamp": "timestamp without time zone",
    "timetz": "time with time zone",
    "time": "time without time zone",
}
_NAME_RE: Final = re.compile(
    r"([a-z][a-z0-9_]*(?: [a-z][a-z]+)*?) ?(?:\( ?(\d+) ?(?:, ?(\d+) ?)?\))?"
    r"( with time zone| without time zone)?((?:\[\])?)"
)
_INTERVAL_RE: Final = re.compile(r"interval(?: (?:to )?(?:year|month|day|hour|minute|second))*")
_UUID_RE: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def known_types() -> set[str]:
    """Every name that column_type knows, without modifiers and arrays."""
    others = {
        "boolean",
        "real",
        "double precision",
        "numeric",
        "bytea",
        "uuid",
        "json",
        "jsonb",
        "date",
        "interval",
    }
    return {*_STRINGS, *INTEGERS, *_SYNONYMS, *_SYNONYMS.values()} | others


def column_type(type_name: str, modes: Modes) -> ColumnType:
    """The type of this name, as PostgreSQL's format_type writes it or with the usual synonyms.

    Raises ColumnTypeError.
    """
    found = _NAME_RE.fullmatch(" ".join(type_name.lower().split()))
    if found is None:
        raise ColumnTypeError(f"{type_name!r} is no type that a row schema knows")
    base, first, second, zone, is_array = found.groups()
    base = _SYNONYMS.get(base + (zone or ""), _SYNONYMS.get(base, base) if zone is None else base + zone)
    arguments = [int(argument) for argument in (first, second) if argument is not None]
    made = _scalar(base, arguments, modes)
    if made is None:
        raise ColumnTypeError(f"{type_name!r} is no type that a row schema knows")
    made = _array_of(made) if is_array else made
    return made._replace(finish=made.convert) if made.reads is Any else made


def _scalar(base: str, arguments: list[int], modes: Modes) -> ColumnType | None:
    if base in ("numeric", "character varying", "character"):
        return numeric_type(arguments, modes.decimals) if base == "numeric" else _string(base)
    base = "interval" if _INTERVAL_RE.fullmatch(base) else base
    if arguments and not base.startswith("time") and base != "interval":
        return None
    precision = arguments[0] if arguments else 6
    if precision > 6 or len(arguments) > 1:
        return None
    timed = _timed(base, precision, modes.times)
    if timed is not None:
        return timed
    if base in INTEGERS:
        return integer_type(base)
    return _other(base, modes)


def _other(base: str, modes: Modes) -> ColumnType | None:
    if base in _STRINGS:
        return _string(base)
    match base:
        case "boolean":
            return ColumnType(node("boolean"), _boolean, bool)
        case "real":
            return ColumnType(node("float"), single)
        case "double precision":
            return ColumnType(node("double"), double)
        case "uuid":
            return ColumnType(node("string", name="io.debezium.data.Uuid", version=1), _uuid)
        case "json" | "jsonb":
            schema = node("string", name="io.debezium.data.Json", version=1)
            return ColumnType(schema, _json, msgspec.Raw, _raw_text)
        case "bytea":
            return _bytea(modes.binary)
    return None


def _timed(base: str, precision: int, mode: TimeMode) -> ColumnType | None:
    match base:
        case "date":
            schema, convert = date_type(mode)
        case "time without time zone":
            schema, convert = time_type(mode, precision)
        case "timestamp without time zone":
            schema, convert = timestamp_type(mode, precision)
        case "time with time zone":
            schema, convert = timetz_type()
        case "timestamp with time zone":
            schema, convert = timestamptz_type(precision)
        case "interval":
            schema, convert = interval_type()
        case _:
            return None

    def timed(value: Any) -> Any:
        if type(value) is not str:
            raise MisfitError(f"expected a text with {with_article(base)}, not {what(value)}")
        try:
            return convert(value)
        except ValueError as error:
            raise MisfitError(f"expected {with_article(base)}, not {what(value)}: {error}") from error

    return ColumnType(schema, timed)


def _array_of(element: ColumnType) -> ColumnType:
    convert = element.convert

    def elements(value: Any) -> Any:
        if type(value) is not list:
            raise MisfitError(f"expected an array of one dimension, not {what(value)}")
        return [None if each is None else convert(each) for each in value]

    if element.reads is msgspec.Raw and (finish := element.finish) is not None:
        return ColumnType(array(element.schema), elements, list[msgspec.Raw], lambda raw: [*map(finish, raw)])
    return ColumnType(array(element.schema), elements)


def _boolean(value: Any) -> bool:
    if type(value) is bool:
        return value
    raise MisfitError(f"expected a boolean, not {what(value)}")


def _string(base: str) -> ColumnType:
    def string(value: Any) -> str:
        if type(value) is str:
            return value
        raise MisfitError(f"expected a text, not {what(value)}")

    name = _STRINGS[base]
    return ColumnType(node("string", name=name, version=None if name is None else 1), string, str)


def _uuid(value: Any) -> str:
    if type(value) is str and _UUID_RE.fullmatch(value):
        return value
    raise MisfitError(f"expected a uuid, not {what(value)}")


def _json(value: Any) -> str:
    return render(value).decode()


def _raw_text(value: msgspec.Raw) -> str | None:
    """The text as it is written, with PostgreSQL's spaces: what a connector finds in the column."""
    text = bytes(value)
    return None if text == b"null" else text.decode()


def _bytea(mode: BinaryMode) -> ColumnType:
    encoders: dict[BinaryMode, Callable[[bytes], Any]] = {
        "bytes": bytes,
        "base64": lambda raw: b64encode(raw).decode(),
        "base64-url-safe": lambda raw: urlsafe_b64encode(raw).decode(),
        "hex": bytes.hex,
    }
    encode = encoders[mode]

    def binary(value: Any) -> Any:
        if type(value) is str and value.startswith("\\x"):
            try:
                return encode(bytes.fromhex(value[2:]))
            except ValueError:
                pass
        raise MisfitError(f"expected a bytea in hexadecimal (\\x...), not {what(value)}")

    return ColumnType(node("bytes" if mode == "bytes" else "string"), binary)
