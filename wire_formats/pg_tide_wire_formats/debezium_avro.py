"""Debezium's change events in Avro, as Confluent's AvroConverter writes them.

A record in Avro is its fields, one behind the other: what does not change from message to message is encoded once,
and the rest put between. The schemas are those of ``debezium``, translated by ``connect_avro``.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from pg_tide_wire_formats.avro_binary import long
from pg_tide_wire_formats.connect import Schema
from pg_tide_wire_formats.connect_avro import compile_connect_avro
from pg_tide_wire_formats.debezium import Source, envelope_schema, source_schema, source_value

_SET: Final = long(1)  # the branch of an optional value that is there

Values = Mapping[str, Any]

Envelope = Callable[[bytes, Values | None, Values | None, int, int], bytes]
"""(op as one letter, before, after, created_us, handled_ns) → the body of the record's value. Raises AvroError."""


class AvroEnvelope(NamedTuple):
    """What has to be registered, and what makes bodies for it."""

    name: str  # full name of the record
    text: str  # its Avro schema as JSON
    encode: Envelope


def compile_avro_envelope(source: Source, row: Schema) -> AvroEnvelope:
    """Prepare events whose rows have this schema; raises AvroSchemaError where a name can't be one in Avro."""
    whole = compile_connect_avro(envelope_schema(source, row))
    assert whole.name is not None, "an envelope is a record"
    encode_row = compile_connect_avro(row).encode
    head, middle, tail = _source_parts(source)

    def envelope(
        op: bytes, before: Values | None, after: Values | None, created_us: int, handled_ns: int
    ) -> bytes:
        return b"".join(
            (
                encode_row(before),
                encode_row(after),
                head,
                long(created_us // 1000),
                middle,
                _SET,
                long(created_us),
                _SET,
                long(created_us * 1000),
                tail,
                long(len(op)),
                op,
                _SET,
                long(handled_ns // 1_000_000),
                _SET,
                long(handled_ns // 1000),
                _SET,
                long(handled_ns),
            )
        )

    return AvroEnvelope(whole.name, whole.text, envelope)


def _source_parts(source: Source) -> tuple[bytes, bytes, bytes]:
    """The block ``source`` around its times, and behind it the transaction, of which there is none."""
    parts = [b"", b"", b""]
    values = source_value(source, 0)
    place = 0
    for field in source_schema()["fields"]:
        name = field["field"]
        if name in ("ts_ms", "ts_us"):
            place += 1
        elif name != "ts_ns":
            parts[place] += compile_connect_avro(field).encode(values[name])
    return parts[0], parts[1], parts[2] + long(0)
