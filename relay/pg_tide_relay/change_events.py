"""A pipeline's messages as Debezium's change events: which op, which rows, which key; as JSON."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from pg_tide_relay.change_rows import RowSource, row_source
from pg_tide_relay.config.models import PipelineConfig
from pg_tide_relay.errors import MessageError
from pg_tide_relay.message import OLD_PAYLOAD, PAYLOAD, Row
from pg_tide_relay.route import compile_topic
from pg_tide_relay.wire_types import Encoded, Format, Origin
from pg_tide_sql.versions import RELEASE
from pg_tide_wire_formats.debezium import Source, compile_envelope, compile_key, envelope_schema
from pg_tide_wire_formats.documents import DocumentError, render
from pg_tide_wire_formats.headers import Header

_TOPIC_PARTS = 3

Clock = Callable[[], int]


class Change(NamedTuple):
    """What a message says happened to a row."""

    op: bytes  # Debezium's letter
    before: Any
    after: Any


Changes = Callable[[Row, bytes | None], Change]
"""(row, record key from the route) → the change. Raises MessageError."""


def source_of(config: PipelineConfig, origin: Origin, *, avro_names: bool, release: str = RELEASE) -> Source:
    """The names of one pipeline's events: as configured, else those in its topic, else the outbox's own."""
    topic = compile_topic(config.topic, origin.outbox)
    names = topic.split(".") if isinstance(topic, str) else []
    if len(names) != _TOPIC_PARTS or not all(names):
        names = ["pg_tide", "tide", origin.outbox]
    wire = config.wire_config
    schema, table = wire.table.split(".") if wire.table else names[1:]
    return Source(
        version=release,
        server_name=wire.server_name or names[0],
        database=origin.database,
        schema=schema,
        table=table,
        avro_names=avro_names,
    )


def compile_change_events(
    config: PipelineConfig, origin: Origin, *, clock: Clock = time.time_ns, release: str = RELEASE
) -> Format:
    """Prepare the format of one pipeline; raises ConfigurationError.

    ``clock``: nanoseconds since 1970; ``release``: what the events call the connector's version.
    """
    wire = config.wire_config
    rows = row_source(wire, as_json=True)
    source = source_of(config, origin, avro_names=False, release=release)
    changes = compile_changes(rows, wire.emit_as or "c")
    schema = None
    if rows.schemas is not None and wire.schemas_enable:
        schema = envelope_schema(source, rows.schemas.row(source.schema_name("Value")))
    envelope = compile_envelope(source, schema)
    struct_key = _compile_struct_key(rows, source, with_schema=bool(wire.key_schemas_enable))
    is_struct = wire.key_strategy == "struct"

    def encode(row: Row, _topic: str, key: bytes | None, created_us: int, headers: list[Header]) -> Encoded:
        op, before, after = changes(row, key)
        value = envelope(op, before, after, created_us, clock())
        return struct_key(row, key) if is_struct else key, value, headers

    return encode


def compile_change_key(config: PipelineConfig, origin: Origin) -> Callable[[Row, bytes | None], bytes]:
    """(row, record key from the route) → the key's columns as text, without a schema, whatever the events' format is.

    Equal keys of records have equal texts. Raises ConfigurationError, what it returns MessageError.
    """
    rows = row_source(config.wire_config, as_json=True)
    return _compile_struct_key(rows, source_of(config, origin, avro_names=False), with_schema=False)


def compile_changes(rows: RowSource, emit_as: str) -> Changes:
    """What each op of a message becomes.

    An update without old payload has no ``before``, which readers of ``u`` need: ``emit_as`` says what is done.
    The payload of a delete is the row that was deleted, where there is no old payload.
    """
    whole = rows.whole

    def changes(row: Row, key: bytes | None) -> Change:
        op, has_old = row[1], row[OLD_PAYLOAD] is not None
        if op == b"insert":
            return Change(b"c", None, whole(row, PAYLOAD, key))
        if op == b"update":
            after = whole(row, PAYLOAD, key)
            if has_old:
                return Change(b"u", whole(row, OLD_PAYLOAD, key), after)
            if emit_as == "c":
                return Change(b"c", None, after)
            if emit_as == "key_only":
                return Change(b"u", rows.partial(rows.key_of(row, PAYLOAD, key)), after)
        elif has_old:
            return Change(b"d", whole(row, OLD_PAYLOAD, key), None)
        elif row[PAYLOAD] is not None:
            return Change(b"d", whole(row, PAYLOAD, key), None)
        elif emit_as != "error":
            return Change(b"d", rows.partial(rows.key_of(row, None, key)), None)
        raise MessageError(
            row[0],
            f"this {op.decode()} has no old payload, and wire_config.emit_as is error; publish it with old_payload",
        )

    return changes


def _compile_struct_key(
    rows: RowSource, source: Source, *, with_schema: bool
) -> Callable[[Row, bytes | None], bytes]:
    """The key as Debezium has it: of the new row, or where there is none of the old."""
    if rows.schemas is None:
        as_json: Callable[[Any], bytes] = render
    else:
        as_json = compile_key(rows.schemas.key(source.schema_name("Key")), with_schema=with_schema)

    def struct_key(row: Row, key: bytes | None) -> bytes:
        columns = rows.key_of(row, key_place(row), key)
        try:
            return as_json(columns)
        except DocumentError as error:
            raise MessageError(row[0], f"its key can't be written: {error}") from error

    return struct_key


def key_place(row: Row) -> int | None:
    """The place of the row that has the columns of the key: the new one, else the old one, if there is any."""
    return next((place for place in (PAYLOAD, OLD_PAYLOAD) if row[place] is not None), None)
