"""Debezium's change events, as its PostgreSQL connector writes them: names, schemas, and the frame.

Sources: io.debezium.data.Envelope, io.debezium.connector.postgresql.PostgresSourceInfoStructMaker, and for the
frame org.apache.kafka.connect.json.JsonConverter. What an outbox can't say truthfully is null: the position in
the WAL (``lsn``, ``sequence``, ``origin``, ``origin_lsn``), the transaction (``txId``, ``xmin``, ``transaction``).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pg_tide_wire_formats.connect import Schema, compile_json, node, struct

CONNECTOR: Final = "postgresql"
"""What readers look at to tell which connector wrote an event."""

_SNAPSHOTS: Final = "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"
_TIMES: Final = frozenset({"ts_ms", "ts_us", "ts_ns"})
_UNSAFE_RE: Final = re.compile(r"[^A-Za-z0-9._-]")

JsonRow = bytes
"""A row as JSON; it goes into the envelope as it is."""

Envelope = Callable[[bytes, JsonRow | None, JsonRow | None, int, int], bytes]
"""(op as one letter, before, after, created_us, handled_ns) → the record's value."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where rows come from, as the block ``source`` and the names of schemas say it."""

    version: str
    server_name: str  # Debezium's topic.prefix
    database: str
    schema: str
    table: str
    avro_names: bool = True  # Debezium's schema.name.adjustment.mode: avro, else none

    def schema_name(self, part: str) -> str:
        """The full name of a schema: ``Envelope``, ``Value`` or ``Key`` behind the name of the table's topic.

        What no topic's name may have becomes ``_``, for each code unit of UTF-16 (io.debezium.schema.
        AbstractTopicNamingStrategy); in names for Avro a ``-`` as well, and a part that begins with a digit gets
        one in front (io.debezium.schema.SchemaNameAdjuster, which sees to the first part only).
        """
        topic = f"{self.server_name}.{self.schema}.{self.table}"
        name = _UNSAFE_RE.sub(lambda found: "__" if found[0] > "\uffff" else "_", topic) + f".{part}"
        if not self.avro_names:
            return name
        return ".".join(
            f"_{each}" if each[:1].isdigit() else each for each in name.replace("-", "_").split(".")
        )


def source_schema() -> Schema:
    """The schema of the block ``source``."""
    required, text, number = node("string", optional=False), node("string"), node("int64")
    snapshot = node(
        "string",
        name="io.debezium.data.Enum",
        version=1,
        parameters={"allowed": _SNAPSHOTS},
        default="false",
    )
    fields = {
        "version": required,
        "connector": required,
        "name": required,
        "ts_ms": node("int64", optional=False),
        "snapshot": snapshot,
        "db": required,
        "sequence": text,
        "ts_us": number,
        "ts_ns": number,
        "schema": required,
        "table": required,
        "txId": number,
        "lsn": number,
        "xmin": number,
        "origin": text,
        "origin_lsn": number,
    }
    name = "io.debezium.connector.postgresql.Source"
    return struct(list(fields.items()), optional=False, name=name, version=1)


def envelope_schema(source: Source, row: Schema) -> Schema:
    """The schema of a change event whose rows have this schema."""
    counted = node("int64", optional=False)
    block = struct(
        [
            ("id", node("string", optional=False)),
            ("total_order", counted),
            ("data_collection_order", counted),
        ],
        optional=True,
        name="event.block",
        version=1,
    )
    fields = {
        "before": row,
        "after": row,
        "source": source_schema(),
        "transaction": block,
        "op": node("string", optional=False),
        "ts_ms": node("int64"),
        "ts_us": node("int64"),
        "ts_ns": node("int64"),
    }
    return struct(list(fields.items()), optional=False, name=source.schema_name("Envelope"), version=2)


def source_value(source: Source, created_us: int) -> dict[str, Any]:
    """The block ``source`` of one message."""
    return {
        "version": source.version,
        "connector": CONNECTOR,
        "name": source.server_name,
        "ts_ms": created_us // 1000,
        "snapshot": "false",
        "db": source.database,
        "sequence": None,
        "ts_us": created_us,
        "ts_ns": created_us * 1000,
        "schema": source.schema,
        "table": source.table,
        "txId": None,
        "lsn": None,
        "xmin": None,
        "origin": None,
        "origin_lsn": None,
    }


def envelope_value(
    source: Source,
    op: str,
    before: Mapping[str, Any] | None,
    after: Mapping[str, Any] | None,
    created_us: int,
    handled_ns: int,
) -> dict[str, Any]:
    """A change event as a value of its schema, for whoever does not write JSON."""
    return {
        "before": before,
        "after": after,
        "source": source_value(source, created_us),
        "transaction": None,
        "op": op,
        "ts_ms": handled_ns // 1_000_000,
        "ts_us": handled_ns // 1000,
        "ts_ns": handled_ns,
    }


def compile_envelope(source: Source, schema: Schema | None) -> Envelope:
    """A change event as JSON, put together from texts: a row that is one already is not read.

    ``schema``: of the envelope, for readers with ``schemas.enable``; None: the payload alone.
    """
    opening, closing = (b"", b"") if schema is None else framed(schema)
    template = b"".join(
        [
            opening.replace(b"%", b"%%"),
            b'{"before":%b,"after":%b,"source":{',
            b",".join(_member(key, value) for key, value in source_value(source, 0).items()),
            b'},"transaction":null,"op":"%b","ts_ms":%d,"ts_us":%d,"ts_ns":%d}',
            closing,
        ]
    )

    def envelope(
        op: bytes, before: JsonRow | None, after: JsonRow | None, created_us: int, handled_ns: int
    ) -> bytes:
        return template % (
            b"null" if before is None else before,
            b"null" if after is None else after,
            created_us // 1000,
            created_us,
            created_us * 1000,
            op,
            handled_ns // 1_000_000,
            handled_ns // 1000,
            handled_ns,
        )

    return envelope


def _member(key: str, value: Any) -> bytes:
    """A member of the block ``source`` in a template: its times change with the message, all else does not."""
    text = b"%d" if key in _TIMES else orjson.dumps(value).replace(b"%", b"%%")
    return orjson.dumps(key) + b":" + text


def framed(schema: Schema) -> tuple[bytes, bytes]:
    """What stands before and behind a value of JSON with its schema."""
    return b'{"schema":%b,"payload":' % orjson.dumps(schema), b"}"


def compile_key(schema: Schema, *, with_schema: bool) -> Callable[[Mapping[str, Any]], bytes]:
    """A key of some columns as JSON, with or without its schema."""
    opening, closing = framed(schema) if with_schema else (b"", b"")
    as_json = compile_json(schema)
    return lambda key: opening + as_json(key) + closing
