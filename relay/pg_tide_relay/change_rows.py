"""Where the rows of a change event come from: what ``before``, ``after`` and the key say of a message.

Three honest sources of types: none at all (the payload is sent as it is), a declared row schema, and one column
that holds any JSON. All three are asked the same things.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, cast

from pg_tide_relay.config.problems import Problem
from pg_tide_relay.config.wire_models import RowColumn, WireConfig
from pg_tide_relay.errors import ConfigurationError, MessageError
from pg_tide_relay.message import OLD_PAYLOAD, PAYLOAD, Row, document_of
from pg_tide_wire_formats.connect import Schema, compile_json, node, struct
from pg_tide_wire_formats.connect_columns import MisfitError
from pg_tide_wire_formats.connect_types import Modes
from pg_tide_wire_formats.documents import DocumentError, render
from pg_tide_wire_formats.row_schema import Rows, RowSchemaError

_NAMES: Final = {PAYLOAD: "payload", OLD_PAYLOAD: "old payload"}

Values = dict[str, Any]
"""Columns and their values, as Kafka Connect has them."""


class RowSource(NamedTuple):
    """What one pipeline's rows are asked."""

    whole: Callable[[Row, int, bytes | None], Any]
    """(row, place of the payload, record key) → the row, as JSON or as columns and values. MessageError."""
    key_of: Callable[[Row, int | None, bytes | None], Values]
    """(row, place of the payload if there is one, record key) → the columns of the key. MessageError."""
    partial: Callable[[Values], Any]
    """The columns of the key as a row that has nothing else, in the form of ``whole``."""
    schemas: "RowSchemas | None"
    """None where types are not known."""


class RowSchemas(NamedTuple):
    """The schemas of rows and keys, each by its name."""

    row: Callable[[str], Schema]
    key: Callable[[str], Schema]


def row_source(wire: WireConfig, *, as_json: bool) -> RowSource:
    """What the configuration asks for, rows as JSON or as values of Kafka Connect; raises ConfigurationError."""
    if wire.payload_as == "opaque":
        return _opaque(as_json=as_json)
    if wire.row_schema is None:
        return _verbatim(wire.key_fields or ())
    if isinstance(wire.row_schema, int):
        raise ConfigurationError("wire_config.row_schema", f"version {wire.row_schema} was not looked up")
    return _typed(wire.row_schema, wire, as_json=as_json)


def _key_columns(row: Row, document: Any, names: Sequence[str], place: str) -> Values:
    found = document if isinstance(document, dict) else {}
    missing = next((name for name in names if found.get(name) is None), None)
    if missing is not None:
        raise MessageError(row[0], f"its {place} has no {missing!r}, a column of wire_config.key_fields")
    return {name: found[name] for name in names}


def _from_text(row: Row, names: Sequence[str], key: bytes | None) -> tuple[str, str]:
    """A key of one column, where there is neither payload nor old payload but the record's key."""
    if len(names) != 1 or key is None:
        raise MessageError(
            row[0],
            "it has neither payload nor old payload, and its record key does not say what wire_config.key_fields"
            " are; publish a delete with old_payload",
        )
    return names[0], key.decode()


def row_schema_problems(stored: Any) -> list[Problem]:
    """What is wrong with the columns that a stored configuration declares; says nothing about what is no column."""
    wire = stored.get("wire_config") if isinstance(stored, dict) else None
    columns = wire.get("row_schema") if isinstance(wire, dict) else None
    if not isinstance(columns, list):
        return []
    told = [
        (column["name"], column["type"])
        for column in columns
        if isinstance(column, dict) and {str} == {type(column.get("name")), type(column.get("type"))}
    ]
    try:
        Rows(told, Modes())
    except RowSchemaError as error:
        return [Problem(path="wire_config.row_schema", severity="error", message=str(error))]
    return []


# -- payloads as they are -----------------------------------------------------------------------------


def _verbatim(names: Sequence[str]) -> RowSource:
    def whole(row: Row, place: int, _key: bytes | None) -> bytes:
        text = cast(bytes, row[place])
        if not text.startswith(b"{"):
            raise MessageError(
                row[0],
                f"its {_NAMES[place]} is no row, an object with columns; wire_config.payload_as opaque sends any JSON",
            )
        return text

    def key_of(row: Row, place: int | None, key: bytes | None) -> Values:
        if place is None:
            name, text = _from_text(row, names, key)
            return {name: text}
        return _key_columns(row, document_of(row, place), names, _NAMES[place])

    return RowSource(
        whole=whole,
        key_of=key_of,
        partial=render,
        schemas=None,
    )


# -- rows with declared types -------------------------------------------------------------------------


def _typed(columns: Sequence[RowColumn], wire: WireConfig, *, as_json: bool) -> RowSource:
    modes = Modes(
        decimals=wire.decimal_handling_mode or "precise",
        times=wire.time_precision_mode or "adaptive",
        binary=wire.binary_handling_mode or "bytes",
    )
    names = wire.key_fields or []
    try:
        rows = Rows([(column.name, column.type) for column in columns], modes)
    except RowSchemaError as error:
        raise ConfigurationError("wire_config.row_schema", str(error)) from error
    try:
        rows.key_schema("", names)
    except RowSchemaError as error:
        raise ConfigurationError("wire_config.key_fields", f"the row schema has none: {error}") from error

    read = rows.compile_reader(as_json=as_json)
    finish = compile_json(rows.schema("row")) if as_json else _as_it_is

    def whole(row: Row, place: int, _key: bytes | None) -> Any:
        try:
            return read(cast(bytes, row[place]))
        except (MisfitError, DocumentError) as error:
            raise MessageError(row[0], f"its {_NAMES[place]} does not fit the row schema: {error}") from error

    def key_of(row: Row, place: int | None, key: bytes | None) -> Values:
        try:
            if place is None:
                name, text = _from_text(row, names, key)
                return {name: rows.convert_text(name, text)}
            found = _key_columns(row, document_of(row, place), names, _NAMES[place])
            return {name: rows.convert_column(name, value) for name, value in found.items()}
        except MisfitError as error:
            raise MessageError(row[0], f"its key does not fit the row schema: {error}") from error

    empty: Values = {column.name: None for column in columns}
    return RowSource(
        whole=whole,
        key_of=key_of,
        partial=lambda key: finish(empty | key),
        schemas=RowSchemas(row=rows.schema, key=lambda name: rows.key_schema(name, names)),
    )


# -- one column that holds any JSON -------------------------------------------------------------------


def _opaque(*, as_json: bool) -> RowSource:
    finish = compile_json(_opaque_schema("row")) if as_json else _as_it_is

    def whole(row: Row, place: int, key: bytes | None) -> Any:
        return finish(
            {"id": None if key is None else key.decode(), "payload": cast(bytes, row[place]).decode()}
        )

    return RowSource(
        whole=whole,
        key_of=_opaque_key,
        partial=lambda key: finish({"id": None, "payload": None} | key),
        schemas=RowSchemas(
            row=_opaque_schema,
            key=lambda name: struct([("id", node("string", optional=False))], optional=False, name=name),
        ),
    )


def _as_it_is(values: Values) -> Values:
    return values


def _opaque_key(row: Row, _place: int | None, key: bytes | None) -> Values:
    if key is None:
        raise MessageError(
            row[0], "it has no record key, which is the column id of wire_config.payload_as opaque"
        )
    return {"id": key.decode()}


def _opaque_schema(name: str) -> Schema:
    payload = node("string", name="io.debezium.data.Json", version=1)
    return struct([("id", node("string")), ("payload", payload)], optional=True, name=name)
